# Liveness probe, a health check with restart: runs a service's own health check, and ends a service that runs but hangs.
# Docker restarts a container only once its main process has ended; an unhealthy container it leaves as it is.
#
# Usage, in a container only: sh health_check.sh TIMEOUT GRACE FAILURES START_FAILURES COMMAND...
#
# COMMAND's exit code: 0: healthy. 75: not healthy, but alive: a restart would not help. Any other, also after TIMEOUT
# seconds: failed. After FAILURES failed checks in a row (START_FAILURES before the first success) the main process gets
# SIGTERM and, GRACE seconds later, every process SIGKILL, as `docker stop` would do. Further failed checks repeat that.
#
# PID 1 is an init process: it forwards SIGTERM, and `kill -1` spares it. POSIX sh only: some images have only busybox.
timeout=$1 grace=$2 failures=$3 start_failures=$4
shift 4
# Docker empties /dev/shm at each start of the container, and no service fills it.
failed=/dev/shm/health-check.failed succeeded=/dev/shm/health-check.succeeded

timeout "$timeout" "$@"
case $? in
    0)
        touch $succeeded
        rm -f $failed
        exit 0
        ;;
    75)
        rm -f $failed
        exit 1
        ;;
esac

echo >>$failed # one line for each failed check
count=$(wc -l <$failed)
[ -e $succeeded ] || failures=$start_failures
if [ "$count" -ge "$failures" ]; then
    reason="health check: $failures checks in a row have failed: ending this service, for Docker to restart it"
    echo "$reason"
    echo "$reason" >/proc/1/fd/2 # the container's log
    kill -TERM 1
    (sleep "$grace" && kill -KILL -1) >/dev/null 2>&1 &
fi
exit 1
