#!/bin/sh
# Makes stand-ins for the images that docker-compose.yml, deployments/cluster, the Dockerfile and the
# integration tests pull, for machines without a registry:
#
#   nats:<version>     nats-server as in go.mod, on scratch
#   golang:<version>   this machine's Go and busybox, to build deployments/docker/Dockerfile with
#   haproxy:<version>  Debian's haproxy, whatever its version
#
# Usage: integration/standins/build.sh [--force]
#
# An image that is there already is left alone. --force builds the stand-ins again, but never
# replaces an image that is not one. Where a registry can be reached, do not run this: the real
# images are better. To be rid of them: docker rmi <name>.

set -eu

label=com.github.zenduty-bridge.standin
here=$(cd "$(dirname "$0")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)

say() { echo "standins: $*"; }
die() { say "$*" >&2; exit 1; }

force=no
case "${1-}" in
'') ;;
--force) force=yes ;;
*) die "unknown argument '$1'; the only one is --force" ;;
esac

# The names are kept where they are used: in the compose file and in the Dockerfile.
nats_image() {
	sed -n 's/^ *image: *\(nats:[^ ]*\) *$/\1/p' "$root/docker-compose.yml"
}

go_image() {
	sed -n 's/^ARG GO_IMAGE=\([^ ]*\) *$/\1/p' "$root/deployments/docker/Dockerfile"
}

haproxy_image() {
	sed -n 's/^ *image: *\(haproxy:[^ ]*\) *$/\1/p' "$root/deployments/cluster/docker-compose.yml"
}

# wanted IMAGE: whether to build it. Says why not.
wanted() {
	kind=$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$1" 2>/dev/null) || return 0
	if [ -z "$kind" ]; then
		say "$1 is here, and not a stand-in: left alone"
		return 1
	fi
	if [ "$force" = no ]; then
		say "$1 is here (a stand-in): left alone; --force builds it again"
		return 1
	fi
}

# require FILE PACKAGE: installs Debian's PACKAGE, which has FILE, when it is missing.
require() {
	[ ! -e "$1" ] || return 0
	command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ] ||
		die "$1 is missing: install it (Debian's package is $2) and run this again"
	say "installing $2 for $1"
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null
}

build_nats() {
	tag=${1#nats:}
	version=$(cd "$root" && go list -m -f '{{.Version}}' github.com/nats-io/nats-server/v2)
	case "v$tag" in
	"$version" | "$version"-*) ;;
	*) die "docker-compose.yml asks for $1, go.mod for nats-server $version: make them agree" ;;
	esac
	say "building $1 from nats-server $version"
	mkdir "$work/nats"
	(cd "$root" && CGO_ENABLED=0 GOOS=linux go build -trimpath -ldflags "-s -w" \
		-o "$work/nats/nats-server" github.com/nats-io/nats-server/v2)
	docker build -q -f "$here/nats.Dockerfile" -t "$1" "$work/nats" >/dev/null
}

build_golang() {
	require /bin/busybox busybox-static
	require /etc/ssl/certs/ca-certificates.crt ca-certificates
	say "building $1 from $(go version), at $(go env GOROOT)"
	rootfs=$work/golang/rootfs
	mkdir -p "$rootfs/bin" "$rootfs/etc/ssl/certs" "$rootfs/usr/local/go"
	cp /bin/busybox "$rootfs/bin/busybox"
	cp /etc/ssl/certs/ca-certificates.crt "$rootfs/etc/ssl/certs/"
	echo 'root:x:0:0:root:/root:/bin/sh' >"$rootfs/etc/passwd"
	# Nothing builds from Go's own tests and documents.
	tar -C "$(go env GOROOT)" --exclude=./test --exclude=./doc -cf - . | tar -C "$rootfs/usr/local/go" -xf -
	docker build -q -f "$here/golang.Dockerfile" -t "$1" "$work/golang" >/dev/null
}

build_haproxy() {
	require /usr/sbin/haproxy haproxy
	say "building $1 from $(/usr/sbin/haproxy -v | head -n 1)"
	rootfs=$work/haproxy/rootfs
	for file in /usr/sbin/haproxy $(ldd /usr/sbin/haproxy | grep -o '/[^ ]*'); do
		mkdir -p "$rootfs$(dirname "$file")"
		cp -L "$file" "$rootfs$file"
	done
	docker build -q -f "$here/haproxy.Dockerfile" -t "$1" "$work/haproxy" >/dev/null
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

nats=$(nats_image)
golang=$(go_image)
haproxy=$(haproxy_image)
[ -n "$nats" ] || die "docker-compose.yml names no nats image"
[ -n "$golang" ] || die "deployments/docker/Dockerfile has no ARG GO_IMAGE"
[ -n "$haproxy" ] || die "deployments/cluster/docker-compose.yml names no haproxy image"

if wanted "$nats"; then build_nats "$nats"; fi
if wanted "$golang"; then build_golang "$golang"; fi
if wanted "$haproxy"; then build_haproxy "$haproxy"; fi
say "done: $nats $golang $haproxy"
