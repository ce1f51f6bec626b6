# Starts ZooKeeper: start_zookeeper.sh LOGS COMMAND.
#
# If the disk is full, ZooKeeper can end between the creation of a transaction log and its first bytes. ZooKeeper before
# 3.9.3 then fails at each start (ZOOKEEPER-2332). An empty log has no transaction.
for log in "$1"/log.*; do
  [ -s "$log" ] || rm -f "$log"
done
shift
exec "$@"
