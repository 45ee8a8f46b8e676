# A stand-in for the official haproxy image of the same name: Debian's haproxy, with the libraries
# that it is linked to and nothing else. build.sh gathers them.
#
# As there, the configuration is /usr/local/etc/haproxy/haproxy.cfg, the user is 99, and the stop
# signal lets requests in hand be finished. Not here: a shell, and the version that the name says
# (Debian's is older).
FROM scratch
LABEL com.github.zenduty-bridge.standin="haproxy"
COPY rootfs/ /
USER 99:99
STOPSIGNAL SIGUSR1
ENTRYPOINT ["/usr/sbin/haproxy", "-W", "-db"]
CMD ["-f", "/usr/local/etc/haproxy/haproxy.cfg"]
