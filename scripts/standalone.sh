#!/usr/bin/env bash
# A real Spark standalone cluster on this machine: a master and workers from pip's pyspark, each
# executor a Java process of its own. For trying what local[*] cannot show: lost executors, barrier
# stages across processes, files that only one process sees.
#
# Usage: scripts/standalone.sh start|stop|status
#
#   FRAUDLAKE_MASTER_PORT  7077   FRAUDLAKE_MASTER_UI_PORT  8080 (workers: the next ones)
#   FRAUDLAKE_WORKERS      2      FRAUDLAKE_WORKER_CORES    1     FRAUDLAKE_WORKER_MEMORY  3g
#
# Logs and process ids are in build/standalone. All of it listens on loopback only.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

host=127.0.0.1
port=${FRAUDLAKE_MASTER_PORT:-7077}
ui=${FRAUDLAKE_MASTER_UI_PORT:-8080}
workers=${FRAUDLAKE_WORKERS:-2}
cores=${FRAUDLAKE_WORKER_CORES:-1}
memory=${FRAUDLAKE_WORKER_MEMORY:-3g}
room=$PWD/build/standalone
spark=$PWD/.venv/lib/python3.11/site-packages/pyspark

say() { printf '[standalone] %s\n' "$*" >&2; }

# A process is ours if it still is what was started: numbers are used again.
alive() { # NAME
  local pid
  pid=$(cat "$room/$1.pid" 2>/dev/null) && [ -n "$pid" ] &&
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qE 'spark\.deploy\.(master\.Master|worker\.Worker)'
}

launch() { # NAME CLASS ARGUMENT...
  local name=$1
  shift
  # setsid: an interrupt at the terminal is not for the cluster.
  SPARK_HOME=$spark SPARK_LOCAL_IP=$host SPARK_DAEMON_MEMORY=512m \
    SPARK_MASTER_OPTS="-Dspark.master.rest.enabled=false" \
    setsid "$spark/bin/spark-class" "$@" >"$room/$name.log" 2>&1 </dev/null &
  echo $! >"$room/$name.pid"
}

names() { ls "$room" 2>/dev/null | sed -n 's/\.pid$//p' | sort; }

taken() { (exec 3<>"/dev/tcp/$host/$1") 2>/dev/null; }

registered() { grep -c 'Registering worker' "$room/master.log" 2>/dev/null || true; }

start() {
  local i p deadline
  [ -x "$spark/bin/spark-class" ] || { say "no .venv here: run make setup first" && exit 1; }
  if alive master; then
    status
    return
  fi
  for ((i = 0; i <= workers; i++)); do
    p=$((ui + i))
    ! taken $p || { say "port $p is taken: choose another with FRAUDLAKE_MASTER_UI_PORT" && exit 1; }
  done
  ! taken "$port" || { say "port $port is taken: choose another with FRAUDLAKE_MASTER_PORT" && exit 1; }
  mkdir -p "$room"
  rm -f "$room"/*.pid "$room"/*.log
  launch master org.apache.spark.deploy.master.Master --host $host --port "$port" --webui-port "$ui"
  for ((i = 1; i <= workers; i++)); do
    launch "worker-$i" org.apache.spark.deploy.worker.Worker --host $host --webui-port $((ui + i)) \
      --cores "$cores" --memory "$memory" --work-dir "$room/work-$i" "spark://$host:$port"
  done
  deadline=$((SECONDS + 90))
  until [ "$(registered)" -ge "$workers" ]; do
    for i in $(names); do
      alive "$i" || fail "$i has ended"
    done
    [ $SECONDS -lt $deadline ] || fail "the workers did not register within 90 s"
    sleep 0.5
  done
  say "spark://$host:$port is up: $workers workers of $cores core and $memory; UI on http://$host:$ui"
}

fail() {
  say "$1; last lines of the logs:"
  tail -n 5 "$room"/*.log >&2
  stop
  exit 1
}

stop() {
  local name pid i
  # Workers first, so that they take their executors with them.
  for name in $(names | sort -r); do
    pid=$(cat "$room/$name.pid")
    if alive "$name"; then
      kill "$pid" 2>/dev/null || true
      for ((i = 0; i < 100; i++)); do
        alive "$name" || break
        sleep 0.1
      done
      ! alive "$name" || kill -9 "$pid" 2>/dev/null || true
      say "$name stopped"
    fi
    rm -f "$room/$name.pid"
  done
}

status() {
  local name state rc=0
  if [ -z "$(names)" ]; then
    say "not running"
    return 3
  fi
  for name in $(names); do
    if alive "$name"; then state="running, process $(cat "$room/$name.pid")"; else state="gone" rc=1; fi
    say "$name: $state"
  done
  return $rc
}

case ${1:-} in
  start | stop | status) "$1" ;;
  *) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
esac
