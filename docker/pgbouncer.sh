#!/bin/sh
# PgBouncer before the databases `sat` and `airflow`, with transaction pooling. It knows the passwords of the roles
# that use it, and gives every other role none. Its files are below PGBOUNCER_FOLDER, which is only its own.
set -eu
: "${AIRFLOW_DB_PASSWORD:?}" "${SAT_WRITER_PASSWORD:?}" "${SAT_RECEIVER_PASSWORD:?}" "${POSTGRES_ADDRESS:?host=… port=…}"
folder=${PGBOUNCER_FOLDER:-/tmp/pgbouncer}
umask 077
mkdir -p "$folder"
cat > "$folder/users.txt" <<USERS
"airflow" "$AIRFLOW_DB_PASSWORD"
"sat_writer" "$SAT_WRITER_PASSWORD"
"sat_receiver" "$SAT_RECEIVER_PASSWORD"
USERS
cat > "$folder/pgbouncer.ini" <<SETTINGS
[databases]
sat = $POSTGRES_ADDRESS
airflow = $POSTGRES_ADDRESS
[pgbouncer]
listen_addr = ${PGBOUNCER_BIND:-0.0.0.0}
listen_port = ${PGBOUNCER_PORT:-6432}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $folder/users.txt
pool_mode = transaction
default_pool_size = ${PGBOUNCER_POOL_SIZE:-20}
max_client_conn = ${PGBOUNCER_CLIENTS:-1000}
ignore_startup_parameters = extra_float_digits
SETTINGS
if [ "$(id -u)" = 0 ]; then
    # It refuses to run as root.
    chown -R nobody "$folder"
    set -- -u nobody
fi
exec pgbouncer "$@" "$folder/pgbouncer.ini"
