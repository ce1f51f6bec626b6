# Starts Spark's master: start_spark_master.sh DIRECTORY IMAGE COMMAND.
#
# A master that cannot read one of its recovery files in DIRECTORY stays STANDBY, at each start. A full disk or a crash
# can leave an empty file: it is removed. If the master was STANDBY for another reason (the health check has created the
# file `unreadable`), all are removed. Also those of another image: workers and job are replaced with the master then,
# and another version of Spark cannot read them.
directory=$1 image=$2
shift 2
former=$(cat "$directory/image" 2>/dev/null)
if [ -e "$directory/unreadable" ] || [ "${former:-$image}" != "$image" ]; then
  rm -f "$directory"/*
fi
echo "$image" >"$directory/image"
for file in "$directory"/*; do
  [ -s "$file" ] || rm -f "$file"
done
exec "$@"
