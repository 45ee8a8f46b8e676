# A stand-in for the official nats image of the same name. build.sh puts nats-server here, built
# from the version in go.mod, and writes the tag.
#
# It has the shape of the official image on scratch, which is what `nats:<version>` is on Linux:
# the server is the entrypoint, so what follows the image's name are its arguments (`-js`,
# `--config ...`). Differences: no default config file but the same settings as arguments, less the
# cluster part; and, as there, no shell and no docker-entrypoint.sh, which the -alpine tags have:
# a command that begins with `nats-server` works with those and not here.
FROM scratch
LABEL com.github.zenduty-bridge.standin="nats"
ENV PATH=/
COPY nats-server /nats-server
EXPOSE 4222 8222 6222
ENTRYPOINT ["/nats-server"]
CMD ["--port", "4222", "--http_port", "8222"]
