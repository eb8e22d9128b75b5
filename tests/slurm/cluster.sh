#!/usr/bin/env bash
# A Slurm cluster of virtual nodes on this machine, with accounting, on loopback only; needs root.
#   cluster.sh up FOLDER NODES     starts it; afterwards `source FOLDER/env` lets sbatch and the others find it
#   cluster.sh control FOLDER      starts slurmctld (again)
#   cluster.sh down FOLDER         ends exactly the processes that `up` started, by their process ids
set -euo pipefail
command=$1
folder=$(mkdir -p "$2" && cd "$2" && pwd)
export SLURM_CONF=$folder/slurm.conf
host=$(hostname -s)
socket=$folder/run/munge.socket

until_true() { for _ in $(seq "${tries:-1500}"); do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "gave up: $*" >&2; return 1; }
all_idle() { [ "$(timeout 60 sinfo --noheader --Node --states idle --format %N | wc -l)" = "$1" ]; }

start_munge() {  # signs every message; key and socket are the cluster's own
    install -d -m 0700 "$folder/munge"
    dd if=/dev/urandom of="$folder/munge/key" bs=1024 count=1 status=none
    chmod 600 "$folder/munge/key"
    /usr/sbin/munged --force --key-file="$folder/munge/key" --seed-file="$folder/munge/seed" --socket="$socket" \
        --log-file="$folder/log/munged.log" --pid-file="$folder/run/munged.pid"
}

start_database() {
    mariadb-install-db --no-defaults --user=root --datadir="$folder/mysql" --skip-test-db \
        --auth-root-authentication-method=socket >"$folder/log/mariadb-install.log" 2>&1
    /usr/sbin/mariadbd --no-defaults --user=root --datadir="$folder/mysql" --socket="$folder/run/mysql.socket" \
        --pid-file="$folder/run/mariadbd.pid" --bind-address=127.0.0.1 --port=13306 --innodb-lock-wait-timeout=900 \
        --innodb-buffer-pool-size=64M --log-error="$folder/log/mariadbd.log" </dev/null >/dev/null 2>&1 &
    until_true mariadb-admin --no-defaults --socket "$folder/run/mysql.socket" ping
    mariadb --no-defaults --socket "$folder/run/mysql.socket" -e "create database slurm_acct_db;
        create user 'slurm'@'127.0.0.1' identified by 'slurm'; grant all on slurm_acct_db.* to 'slurm'@'127.0.0.1'"
}

write_configuration() {  # $1 nodes of one core each
    cat >"$folder/slurmdbd.conf" <<CONF
DbdHost=$host
DbdAddr=127.0.0.1
DbdPort=16819
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$socket
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=13306
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
LogFile=$folder/log/slurmdbd.log
PidFile=$folder/run/slurmdbd.pid
CommunicationParameters=NoInAddrAny
CONF
    chmod 600 "$folder/slurmdbd.conf"
    cat >"$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd.%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=16819
AccountingStoragePass=$socket
AccountingStoreFlags=job_comment
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=5,bf_interval=5
SlurmdParameters=config_overrides
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ReturnToService=2
KillWait=2
MessageTimeout=100
CONF
    for i in $(seq "$1"); do
        echo "NodeName=n$i NodeHostname=$host NodeAddr=127.0.0.1 Port=$((17000 + i)) CPUs=1 RealMemory=4000"
    done >>"$folder/slurm.conf"
    echo "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP" >>"$folder/slurm.conf"
    # The plugin's job step unsets SLURM_CONF before it calls srun, so that srun would look into /etc/slurm.
    printf '#!/bin/sh\nSLURM_CONF=%q exec /usr/bin/srun "$@"\n' "$SLURM_CONF" >"$folder/bin/srun"
    chmod +x "$folder/bin/srun"
    printf 'export SLURM_CONF=%q\nexport PATH=%q:$PATH\n' "$SLURM_CONF" "$folder/bin" >"$folder/env"
}

case $command in
up)
    mkdir -p "$folder"/{bin,log,run,spool,state}
    start_munge
    start_database
    write_configuration "$3"
    /usr/sbin/slurmdbd
    until_true sacctmgr --noheader list cluster
    sacctmgr --immediate --quiet add cluster test >/dev/null
    sacctmgr --immediate --quiet add account tests Cluster=test >/dev/null
    sacctmgr --immediate --quiet add user root Account=tests Cluster=test >/dev/null
    "$0" control "$folder"
    for i in $(seq "$3"); do
        mkdir -p "$folder/spool/n$i"
        /usr/sbin/slurmd -N "n$i" -f "$SLURM_CONF"
    done
    until_true all_idle "$3"
    ;;
control)
    /usr/sbin/slurmctld -f "$SLURM_CONF"
    ;;
down)
    timeout 60 scancel --user root || true
    for name in slurmctld "slurmd.*" slurmdbd mariadbd munged; do
        for file in "$folder"/run/$name.pid; do
            [ -s "$file" ] || continue
            process=$(cat "$file")
            kill "$process" 2>/dev/null || continue
            tries=100 until_true test ! -d "/proc/$process" || kill -9 "$process"
        done
    done
    ;;
esac
