#!/usr/bin/env bash
# A real Kafka broker on this machine: Kafka 4.1 in KRaft mode, one node, for tests, the demo and
# trials of the stream.
#
# Usage: scripts/kafka.sh start|stop|status
#        scripts/kafka.sh topic NAME [PARTITIONS]    (2 if left out)
#
#   FRAUDLAKE_KAFKA_PORT  9092 (the controller: the next one)
#   FRAUDLAKE_KAFKA_DIR   build/kafka: data, log and process id; start goes on with what is there
#
# It listens on loopback only and asks nobody who they are. Its JARs are fetched at the first start.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/toolchain.sh

host=127.0.0.1
port=${FRAUDLAKE_KAFKA_PORT:-9092}
room=$(realpath -m "${FRAUDLAKE_KAFKA_DIR:-build/kafka}")

say() { printf '[kafka] %s\n' "$*" >&2; }

# The process is ours if it still is what was started: numbers are used again.
alive() {
  local pid
  pid=$(cat "$room/pid" 2>/dev/null) && [ -n "$pid" ] &&
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "kafka.Kafka $room/"
}

answers() { (exec 3<>"/dev/tcp/$host/$1") 2>/dev/null; }

started() { grep -qs 'Kafka Server started' "$room/log"; }

tools() {
  [ -x .venv/bin/python ] || { say "no .venv here: run make setup first" && exit 1; }
  find_java
  fetch_jars kafka "for a Kafka broker, 43 MB (about 1 minute)"
  java=("$JAVA_HOME/bin/java" -Xmx512m -Dlog4j2.configurationFile="$room/log4j2.properties" -cp "$JARS/*")
}

settings() {
  cat >"$room/server.properties" <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@$host:$((port + 1))
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://$host:$port,CONTROLLER://$host:$((port + 1))
log.dirs=$room/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
EOF
  cat >"$room/log4j2.properties" <<EOF
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %m%n
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=out
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=INFO
EOF
}

start() {
  local p deadline id
  if alive; then
    status
    return
  fi
  for p in $port $((port + 1)); do
    ! answers $p || { say "port $p is taken: choose another with FRAUDLAKE_KAFKA_PORT" && exit 1; }
  done
  tools
  mkdir -p "$room"
  rm -f "$room/pid" "$room/log"
  settings
  if [ ! -e "$room/data/meta.properties" ]; then
    id=$(head -c 16 /dev/urandom | base64 | tr '/+' 'aa' | cut -c1-22)
    "${java[@]}" kafka.tools.StorageTool format -t "$id" -c "$room/server.properties" >"$room/log" 2>&1 ||
      fail "the data folder could not be made"
  fi
  # setsid: an interrupt at the terminal is not for the broker.
  setsid "${java[@]}" kafka.Kafka "$room/server.properties" >"$room/log" 2>&1 </dev/null &
  echo $! >"$room/pid"
  deadline=$((SECONDS + 90))
  until started && answers "$port"; do
    [ -e "/proc/$(cat "$room/pid")" ] || fail "the broker has ended"
    [ $SECONDS -lt $deadline ] || fail "the broker did not start within 90 s"
    sleep 0.2
  done
  say "kafka://$host:$port is up"
}

fail() {
  say "$1; last lines of $room/log:"
  tail -n 10 "$room/log" >&2
  stop
  exit 1
}

stop() {
  local pid i
  if alive; then
    pid=$(cat "$room/pid")
    kill "$pid" 2>/dev/null || true
    for ((i = 0; i < 150; i++)); do
      alive || break
      sleep 0.1
    done
    ! alive || kill -9 "$pid" 2>/dev/null || true
    say "stopped"
  fi
  rm -f "$room/pid"
}

status() {
  if alive; then
    say "running, process $(cat "$room/pid")"
  else
    say "not running"
    return 3
  fi
}

topic() { # NAME [PARTITIONS]
  [ -n "${1:-}" ] || { say "topic: expected a name" && exit 2; }
  tools
  "${java[@]}" org.apache.kafka.tools.TopicCommand --bootstrap-server "$host:$port" --create \
    --if-not-exists --topic "$1" --partitions "${2:-2}" --replication-factor 1 >&2
}

case ${1:-} in
  start | stop | status | topic) "$@" ;;
  *) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
esac
