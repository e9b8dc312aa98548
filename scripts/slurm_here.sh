#!/usr/bin/env bash
# Run Slurm as a single node on this machine, for tests (as root):
#   scripts/slurm_here.sh start FOLDER    then: export SLURM_CONF=FOLDER/slurm.conf
#   scripts/slurm_here.sh stop FOLDER
# FOLDER gets the configuration, state, logs and sockets.
set -euo pipefail

fail() { echo "$0: $1" >&2; exit 2; }
[ $# = 2 ] && [[ $1 =~ ^(start|stop)$ ]] || fail "usage: $0 start FOLDER, or $0 stop FOLDER"
[ "$(id -u)" = 0 ] || fail "only root can start and stop Slurm"
PATH=$PATH:/usr/sbin
for program in munged slurmctld slurmd sinfo; do
    command -v $program > /dev/null ||
        fail "$program is missing: apt-get install -y --no-install-recommends slurm-wlm munge"
done
mkdir -p "$2"
folder=$(realpath "$2")
export SLURM_CONF=$folder/slurm.conf

# Succeed if the process runs that program and is not a zombie. Debian appends -wlm to the names.
runs() { [[ $(readlink "/proc/$1/exe") = */$2* ]]; }

pid_of() { cat "$folder/$1.pid" 2> /dev/null || echo none; }

stop() {
    local program pid
    if runs "$(pid_of slurmctld)" slurmctld; then
        scancel --full --signal=KILL --partition=here
        for _ in {1..100}; do [ "$(squeue --noheader)" ] && sleep 0.1 || break; done
    fi
    for program in slurmd slurmctld munged; do
        pid=$(pid_of $program)
        if runs "$pid" $program; then kill "$pid"; fi
        for _ in {1..100}; do runs "$pid" $program && sleep 0.1 || break; done
        if runs "$pid" $program; then kill -KILL "$pid"; fi
    done
}

write_config() {
    local host memory
    host=$(hostname -s)
    memory=$(awk '/MemTotal/ {print int($2 * 0.8 / 1024)}' /proc/meminfo)  # MiB; with more than the machine has, the node drains
    cat > "$SLURM_CONF" << END
ClusterName=here
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
JobRequeue=1
MpiDefault=none
AccountingStorageType=accounting_storage/none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(getconf _NPROCESSORS_ONLN) RealMemory=$memory
PartitionName=here Nodes=$host Default=YES MaxTime=60
END
}

start() {
    mkdir -p "$folder/state" "$folder/spool"
    head -c 1024 /dev/urandom > "$folder/munge.key"
    chmod 0400 "$folder/munge.key"
    munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
        --log-file="$folder/munged.log" --seed-file="$folder/munged.seed" 2>> "$folder/munged.log"
    write_config
    slurmctld
    slurmd
    for _ in {1..60}; do
        [ "$(sinfo --noheader --format=%T 2> /dev/null)" = idle ] && return
        sleep 0.5
    done
    tail -n 5 "$folder"/*.log >&2
    fail "the node does not become idle; the logs are in $folder"
}

stop
if [ "$1" = start ]; then
    start
    echo "Slurm runs here. For its commands: export SLURM_CONF=$SLURM_CONF"
fi
