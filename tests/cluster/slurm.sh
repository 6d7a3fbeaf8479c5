#!/usr/bin/env bash
# A SLURM of one node on this machine, for tests: slurm.sh start FOLDER | stop FOLDER
#
# Needs root and the packages slurm-wlm and munge. All state is in FOLDER, on ports and a socket of its own; clients find
# it by the link /etc/slurm/slurm.conf, which must not be there yet (SLURM_CONF would not do: Snakemake takes SLURM's
# variables out of its environment, so that srun inside a job lacks them). There is no accounting (slurmdbd), and there
# are two GPUs on paper only, so that jobs that ask for one are scheduled.
set -euo pipefail
folder=$(realpath "$2")
link=/etc/slurm/slurm.conf

stop() {
    if [ "$(readlink "$link")" = "$folder/slurm.conf" ]; then
        rm "$link"
    fi
    for daemon in slurmd slurmctld munged; do
        if [ -s "$folder/$daemon.pid" ]; then
            kill "$(cat "$folder/$daemon.pid")" 2>/dev/null || true
        fi
    done
}

start() {
    if [ -e "$link" ]; then
        echo "error: $link is there: this machine has a SLURM already; run this elsewhere" >&2
        exit 2
    fi
    mkdir -p "$folder/state" "$folder/spool"
    chmod 755 "$folder"
    (umask 077 && head --bytes 128 /dev/urandom > "$folder/munge.key")
    write_config
    ln -sfn "$folder/slurm.conf" "$link"
    # --force: the folder may lie below one that others can write to, such as /tmp.
    munged --force --key-file "$folder/munge.key" --socket "$folder/munge.socket" --pid-file "$folder/munged.pid" \
        --seed-file "$folder/munge.seed" --log-file "$folder/munged.log"
    slurmctld -c -f "$folder/slurm.conf"
    slurmd -f "$folder/slurm.conf"
    for _ in $(seq 60); do
        if sinfo --noheader --format %T 2>/dev/null | grep -q idle; then
            return
        fi
        sleep 1
    done
    echo "error: the node did not become idle within 60 seconds; see $folder/*.log" >&2
    tail -n 20 "$folder"/*.log >&2
    stop
    exit 1
}

write_config() {
    local host cores
    host=$(hostname -s)
    cores=$(getconf _NPROCESSORS_ONLN) # nproc would say 1 where OMP_NUM_THREADS is 1
    cat > "$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# What the node says of itself is not checked: jobs ask for more memory than they use.
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=7200
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores RealMemory=64000 Gres=gpu:2 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    touch "$folder/gpu0" "$folder/gpu1"
    echo "NodeName=$host Name=gpu File=$folder/gpu[0-1]" > "$folder/gres.conf"
}

case $1 in
    start | stop) "$1" ;;
    *) echo "usage: slurm.sh start|stop FOLDER" >&2; exit 2 ;;
esac
