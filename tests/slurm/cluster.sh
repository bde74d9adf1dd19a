#!/bin/sh
# A Slurm cluster of one node on this machine, for test_cluster.py. Needs root, in a machine or container that may be thrown away:
#
#   apt-get install --no-install-recommends slurmctld slurmd slurm-client munge     (Debian)
#   tests/slurm/cluster.sh start        writes /etc/slurm/slurm.conf, starts munged, slurmctld and slurmd
#   python -m pytest -m long tests/slurm
#   tests/slurm/cluster.sh stop
#
# An existing /etc/slurm/slurm.conf that this script did not write is left alone, and nothing is started.
# Two partitions over the one node: jobs of `urgent` preempt those of `main`, which are told 30 seconds before and queued again.
# A job that is queued again waits until its credential has expired: cred_expire, by default two minutes.
set -eu

CONF=/etc/slurm/slurm.conf
MARK="# written by tests/slurm/cluster.sh"
STATE=/var/lib/slurm-of-one

write_conf() {
    if [ -e "$CONF" ] && ! grep -q "^$MARK" "$CONF"; then
        echo "$CONF is there already, and not from this script: nothing is done" >&2
        exit 1
    fi
    host=$(hostname -s)
    megabytes=$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
    mkdir -p /etc/slurm "$STATE/ctld" "$STATE/d"
    cat > "$CONF" <<CONF
$MARK
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=cred_expire=10
CredType=cred/munge
StateSaveLocation=$STATE/ctld
SlurmdSpoolDir=$STATE/d
SlurmctldPidFile=$STATE/slurmctld.pid
SlurmdPidFile=$STATE/slurmd.pid
SlurmctldLogFile=$STATE/slurmctld.log
SlurmdLogFile=$STATE/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=30
MinJobAge=60
ReturnToService=2
MpiDefault=none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$megabytes State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=30 State=UP
PartitionName=urgent Nodes=$host MaxTime=INFINITE PriorityTier=2 PreemptMode=OFF State=UP
CONF
}

start() {
    write_conf
    mkdir -p /run/munge && chown munge:munge /run/munge
    [ -e /etc/munge/munge.key ] || mungekey --create
    munge --no-input > /dev/null 2>&1 || runuser -u munge -- munged
    slurmctld
    slurmd
    for _ in $(seq 30); do
        sinfo --noheader --format=%T 2> /dev/null | grep -q idle && break
        sleep 1
    done
    sinfo
}

stop() {
    for daemon in slurmd slurmctld; do
        [ -e "$STATE/$daemon.pid" ] && kill "$(cat "$STATE/$daemon.pid")" || true
    done
}

case "${1:-}" in
    start) start ;;
    stop) stop ;;
    *) echo "usage: $0 start|stop" >&2; exit 2 ;;
esac
