# Starts ZooKeeper: start_zookeeper.sh LOGS COMMAND.
#
# If the disk is full or the power fails, ZooKeeper can end between the creation of a transaction log and its first bytes:
# the log is empty, or has zeros only. ZooKeeper before 3.9.3 then fails at each start (ZOOKEEPER-2332). A log without its
# header has no transaction.
for log in "$1"/log.*; do
  [ -e "$log" ] || continue
  header=$(head -c 4 "$log") || continue
  [ "$header" = ZKLG ] || rm -f "$log"
done
shift
exec "$@"
