# A stand-in for the official golang image of the same name: this machine's Go, its certificates and
# busybox for a shell. build.sh gathers them.
#
# Enough for `go mod download` and `CGO_ENABLED=0 go build`. Not here: gcc (no cgo, no -race), git
# (modules come from a proxy, not from their repositories), apt.
#
# The certificates are those that this machine trusts, and an image built with it carries them on:
# do not publish what was built with a stand-in.
FROM scratch
LABEL com.github.zenduty-bridge.standin="golang"
COPY rootfs/ /
RUN ["/bin/busybox", "--install", "-s", "/bin"]
# Go builds under /tmp; /usr/bin/env is what scripts begin with.
RUN mkdir -p /go /root /usr/bin && mkdir -m 1777 /tmp && ln -s /bin/env /usr/bin/env
ENV GOPATH=/go \
    GOTOOLCHAIN=local \
    HOME=/root \
    PATH=/go/bin:/usr/local/go/bin:/usr/bin:/bin
WORKDIR /go
CMD ["/bin/sh"]
