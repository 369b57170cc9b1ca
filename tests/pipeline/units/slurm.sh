#!/usr/bin/env bash
# Runs a command on a cluster of one node: a Slurm of its own, which ends with it.
#   unshare --pid --fork --kill-child --mount-proc slurm.sh FOLDER COMMAND...    (as root)
set -euo pipefail
folder=$1
shift
export SLURM_CONF=$folder/slurm.conf
free() { python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
mkdir -p "$folder/state" "$folder/spool"
cat > "$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmctldPort=$(free)
SlurmdPort=$(free)
AuthType=auth/none
CredType=cred/none
SlurmUser=root
SlurmdUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
NodeName=$(hostname) NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=test Nodes=$(hostname) Default=YES MaxTime=INFINITE State=UP
CONF
slurmctld
slurmd
timeout 60 bash -c 'until sinfo --noheader --format %t | grep -q idle; do sleep 0.2; done'
"$@"
