# Starts Grafana: start_grafana.sh DATABASE PASSWORD_FILE COMMAND.
#
# Grafana takes the administrator's password from its settings only when it creates its database. Afterwards it is set
# here, so that a rotation ends the former one.
if [ -e "$1" ]; then
  output=$(grafana cli --homepath /usr/share/grafana admin reset-admin-password --password-from-stdin <"$2" 2>&1)
  code=$?
  echo "$output"
  [ $code -eq 0 ] || exit $code
  # It exits with 0 also after an error (grafana#102549).
  case $output in *"changed successfully"*) ;; *) exit 1 ;; esac
fi
shift 2
exec "$@"
