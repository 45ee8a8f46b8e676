# The image of a release: as deployments/docker/Dockerfile makes it, around the binary that
# the release has already, so that image and archive hold the same one. .goreleaser.yaml
# builds it, in a directory with LICENSE and, by platform, the binary.

ARG GO_IMAGE=golang:1.26

FROM ${GO_IMAGE} AS build

# By buildx, linux/amd64 or linux/arm64.
ARG TARGETPLATFORM

RUN mkdir -p /out/root/etc/ssl/certs /out/owned \
 && cp /etc/ssl/certs/ca-certificates.crt /out/root/etc/ssl/certs/ \
 && mkdir -m 0700 /out/owned/data

COPY ${TARGETPLATFORM}/zenduty-bridge LICENSE /out/root/

# From here on the two are the same: TestReleaseImage.
FROM scratch

ARG VERSION=dev
ARG REVISION=
LABEL org.opencontainers.image.title="zenduty-bridge" \
      org.opencontainers.image.description="Verifies Zenduty webhooks, fsyncs them and carries them to NATS JetStream once and in order" \
      org.opencontainers.image.source="https://github.com/zenduty-bridge/zenduty-bridge" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# Root owns the program and the certificates; the bridge can write to /data and nowhere else.
COPY --from=build /out/root/ /
COPY --from=build --chown=65532:65532 /out/owned/ /

# By number: Kubernetes' runAsNonRoot cannot see that a name is not root, and there is no passwd.
USER 65532:65532

# The spool is the promise: on a volume it outlives the container. An unnamed volume is lost with
# `docker run --rm`, so name one.
ENV ZENDUTY_BRIDGE_DATA_DIR=/data
VOLUME /data

# 8080 webhooks; 8081 admin, which listens on the container's loopback until
# ZENDUTY_BRIDGE_ADMIN_LISTEN says otherwise.
EXPOSE 8080 8081

# Ready means that a webhook would be taken. NATS being away does not make it unhealthy: a restart
# would not bring NATS back.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["/zenduty-bridge", "healthcheck"]

ENTRYPOINT ["/zenduty-bridge"]
CMD ["serve"]
