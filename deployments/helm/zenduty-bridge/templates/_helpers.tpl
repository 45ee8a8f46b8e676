{{/* Name of the release's objects. */}}
{{- define "zenduty-bridge.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects this release's bridges. It can not be changed by an upgrade. */}}
{{- define "zenduty-bridge.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: bridge
{{- end -}}

{{/* Its test's pod, which the network policy lets in. */}}
{{- define "zenduty-bridge.testSelector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: test
{{- end -}}

{{- define "zenduty-bridge.labels" -}}
{{ include "zenduty-bridge.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "zenduty-bridge.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "zenduty-bridge.fullname" .) -}}
{{- end -}}

{{/* Name of the Services' port for webhooks, by which meshes and ingress controllers go. */}}
{{- define "zenduty-bridge.portName" -}}
{{- ternary "https" "http" (ne .Values.tlsSecret "") -}}
{{- end -}}

{{/* Ports that lead to NATS, as JSON: those that are named, else those of nats.url. */}}
{{- define "zenduty-bridge.natsPorts" -}}
{{- $ports := .Values.networkPolicy.natsPorts -}}
{{- if not $ports -}}
{{- range $url := splitList "," .Values.nats.url -}}
{{- with trim $url -}}
{{- $default := get (dict "ws" "80" "wss" "443") (splitList "://" . | first) | default "4222" -}}
{{- $ports = append $ports (regexFind ":[0-9]+$" . | trimPrefix ":" | default $default | int) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- uniq $ports | toJson -}}
{{- end -}}

{{- define "zenduty-bridge.image" -}}
{{- $repository := required "image.repository is missing: build the image with deployments/docker/Dockerfile, push it where your cluster pulls from, and name that" .Values.image.repository -}}
{{- $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- with .Values.image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{/* Pod Security Standard "restricted", and a root file system that cannot be written to. */}}
{{- define "zenduty-bridge.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
# Not at every start through the whole volume.
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "zenduty-bridge.securityContext" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
privileged: false
readOnlyRootFilesystem: true
{{- end -}}

{{/*
Seconds from the signal to stop until the pod is killed, which must be more than the bridge may
take: webhooks are taken for lameDuckSeconds; those in hand have ingress.body_timeout and
answer_deadline (10 s, 2.5 s), the relay relay.drain_timeout (5 s), an operator's request 1 s,
traces 2 s, and the rest is for closing the spool.
*/}}
{{- define "zenduty-bridge.gracePeriod" -}}
{{- add .Values.lameDuckSeconds 25 -}}
{{- end -}}
