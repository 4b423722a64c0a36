#!/bin/sh
# Makes the secrets of a cluster, once. There are no default passwords: everything is random, and a
# file that exists is left as it is, so that it can be run again after an update.
#
#   deploy/secrets.sh [FOLDER]      default: deploy/secrets
#
# HOST_POSTGRES, HOST_NATS and HOST_REDIS are where the services are found; the defaults are the
# names in compose.yaml.
set -eu

folder=${1:-$(dirname "$0")/secrets}
postgres=${HOST_POSTGRES:-postgres:5432}
nats=${HOST_NATS:-nats:4222}
redis=${HOST_REDIS:-redis:6379}

umask 077
mkdir -p "$folder"
chmod 700 "$folder"

# 32 random bytes in hexadecimal, which need no quoting anywhere.
random() { od -An -vtx1 -N32 /dev/urandom | tr -d ' \n'; }

# Writes standard input to a file, unless there is one.
keep() {
    if [ -s "$folder/$1" ]; then
        cat >/dev/null
        return 0
    fi
    cat >"$folder/$1.new"
    # Containers read them as other users, straight from the file. The folder keeps others out.
    chmod 644 "$folder/$1.new"
    mv "$folder/$1.new" "$folder/$1"
}

secret() { random | keep "$1"; }
value() { cat "$folder/$1"; }

# Signs logins; all brokers have the same.
secret secret_key
secret postgres_password
secret nats_broker_password
secret nats_worker_password
secret redis_password
secret grafana_admin_password

keep database_url <<END
postgres://parlor:$(value postgres_password)@$postgres/parlor
END
keep nats_broker_url <<END
nats://broker:$(value nats_broker_password)@$nats
END
keep nats_worker_url <<END
nats://bot-worker:$(value nats_worker_password)@$nats
END
keep redis_url <<END
redis://:$(value redis_password)@$redis
END
keep redis.conf <<END
requirepass $(value redis_password)
END
# Read by deploy/nats.
keep nats-passwords.conf <<END
BROKER_PASSWORD = "$(value nats_broker_password)"
BOT_WORKER_PASSWORD = "$(value nats_worker_password)"
END

echo "the secrets are in $folder; keep a copy of secret_key and database_url" >&2
