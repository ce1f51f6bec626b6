# Starts Grafana: start_grafana.sh DATABASE PASSWORD_FILE COMMAND.
#
# Grafana takes the administrator's password from its settings only when it creates its database. Afterwards it is set
# here, so that a rotation ends the former one.
if [ -e "$1" ]; then
  grafana cli --homepath /usr/share/grafana admin reset-admin-password --password-from-stdin <"$2" || exit
fi
shift 2
exec "$@"
