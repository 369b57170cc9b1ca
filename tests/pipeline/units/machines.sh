#!/usr/bin/env bash
# Runs an edgec command on one of four "machines" that share a folder: network and process namespaces behind a bridge.
# The scheduler is on the second, a worker each on the third and the fourth, which have the same name.
#   unshare --user --map-root-user --net --mount --pid --fork --kill-child --mount-proc machines.sh PYTHON ARGUMENTS...
set -euo pipefail
python=$1
shift
net=10.77.0
scheduler=tcp://$net.2:8786

mount -t tmpfs tmpfs /run # where `ip netns` keeps its names
ip link set lo up
ip link add bridge0 type bridge
ip link set bridge0 up
for number in 1 2 3 4; do
    ip netns add "m$number"
    ip link add "v$number" type veth peer name eth0 netns "m$number"
    ip link set "v$number" master bridge0 up
    ip -n "m$number" address add "$net.$number/24" dev eth0
    ip -n "m$number" link set eth0 up
    ip -n "m$number" link set lo up
done

on() { # run a command on a machine
    ip netns exec "m$1" unshare --uts --pid --fork --kill-child --mount-proc \
        sh -c 'hostname "$0" && exec "$@"' "$2" "${@:3}"
}
on 2 scheduler "$python" -m distributed.cli.dask_scheduler --host "$net.2" --port 8786 --no-dashboard &
on 3 node "$python" -m distributed.cli.dask_worker "$scheduler" --nthreads 1 --no-dashboard --no-nanny &
on 4 node "$python" -m distributed.cli.dask_worker "$scheduler" --nthreads 1 --no-dashboard --no-nanny &
on 1 client "$python" -c "from distributed import Client; Client('$scheduler').wait_for_workers(2)"
on 1 client "$python" -m pipeline "$@" --on "$scheduler"
