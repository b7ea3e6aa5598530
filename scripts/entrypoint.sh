#!/usr/bin/env bash
# Entry point of the image. Spark on Kubernetes starts its pods with "driver ..." or "executor" and
# says the rest in SPARK_* variables (it has no other contract, and pip's Spark brings no entry
# point); anything else is a command to run.
set -euo pipefail

# The options for an executor's Java arrive as SPARK_JAVA_OPT_0, SPARK_JAVA_OPT_1, ...
java_options() {
  local i=0 name
  while name=SPARK_JAVA_OPT_$i && [ -n "${!name:-}" ]; do
    printf '%s\n' "${!name}"
    i=$((i + 1))
  done
}

case ${1:-} in
  driver)
    shift
    exec "$SPARK_HOME/bin/spark-submit" \
      --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" \
      --conf "spark.executorEnv.SPARK_DRIVER_POD_IP=$SPARK_DRIVER_BIND_ADDRESS" \
      --deploy-mode client "$@"
    ;;
  executor)
    mapfile -t options < <(java_options)
    exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" "${options[@]}" \
      -Xms"$SPARK_EXECUTOR_MEMORY" -Xmx"$SPARK_EXECUTOR_MEMORY" \
      -cp "${SPARK_CONF_DIR:-$SPARK_HOME/conf}:${SPARK_CLASSPATH:-}:$SPARK_HOME/jars/*" \
      org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
      --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" \
      --cores "$SPARK_EXECUTOR_CORES" --app-id "$SPARK_APPLICATION_ID" \
      --hostname "$SPARK_EXECUTOR_POD_IP" --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" \
      --podName "$SPARK_EXECUTOR_POD_NAME"
    ;;
  *) exec "$@" ;;
esac
