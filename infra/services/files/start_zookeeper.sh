# Starts ZooKeeper: start_zookeeper.sh LOGS COMMAND.
#
# If the disk is full or the power fails, ZooKeeper can end between the creation of a transaction log and its first bytes:
# the log is empty, or has zeros only. ZooKeeper before 3.9.3 then fails at each start (ZOOKEEPER-2332). Such a log has
# no transaction.
for log in "$1"/log.*; do
  [ -r "$log" ] || continue
  [ -n "$(tr -d '\0' <"$log" | head -c 1)" ] || rm -f "$log"
done
shift
exec "$@"
