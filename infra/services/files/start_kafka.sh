# Starts the broker, whose command line is this script's arguments.
#
# The broker logs in to itself, and finds the hash of the password in ZooKeeper. So it has to be there first: in a new
# ZooKeeper, and with a new password. ConfigCommand reads the password from a file, and waits for ZooKeeper.
java -Xmx64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto \
  -Dlog4j.configuration=file:/etc/lolstack/log4j-tools.properties \
  -Djava.security.auth.login.config=/etc/lolstack/kafka.jaas \
  -cp '/opt/kafka/libs/*' kafka.admin.ConfigCommand --zookeeper zookeeper:2181 \
  --alter --entity-type users --entity-name admin --add-config-file /etc/lolstack/admin.properties || exit
exec "$@"
