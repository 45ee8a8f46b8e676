{{/* Fails, with the remedy, where config has what the chart itself sets and where settings contradict. */}}
{{- define "zenduty-bridge.checkConfig" -}}
{{- $c := .Values.config -}}
{{- range $key, $remedy := dict
      "listen" "it is :8080, and service.port is the port in front of it"
      "admin_listen" "it is :8081"
      "admin" "it follows from admin_listen"
      "data_dir" "it is the volume, /data"
      "admin_token" "name an entry of a Secret in adminToken"
      "admin_token_file" "name an entry of a Secret in adminToken"
      "tls" "name a Secret of type kubernetes.io/tls in tlsSecret"
      "sources" "set sources, beside config" -}}
{{- if hasKey $c $key -}}
{{- fail (printf "config.%s is set by the chart: %s" $key $remedy) -}}
{{- end -}}
{{- end -}}
{{- range $key, $remedy := dict
      "acme" "the authority would ask one replica about what another began; have cert-manager keep the certificate in a Secret, and name that in tlsSecret or ingress.tlsSecret"
      "admin_tls" "the admin port is plain HTTP, by which it tells others its health and metrics and nothing else; give commands with kubectl exec"
      "admin_ca_file" "the admin port is plain HTTP" -}}
{{- if hasKey $c $key -}}
{{- fail (printf "config.%s is nothing for this chart: %s" $key $remedy) -}}
{{- end -}}
{{- end -}}
{{- range $key := list "url" "listen" "credentials_file" "nkey_seed_file" "user" "password" "password_file" "token" "token_file" "tls" -}}
{{- if hasKey ($c.nats | default dict) $key -}}
{{- fail (printf "config.nats.%s is set by the chart: use nats.url, nats.auth and nats.tls, beside config" $key) -}}
{{- end -}}
{{- end -}}
{{- if hasKey ($c.ingress | default dict) "lame_duck" -}}
{{- fail "config.ingress.lame_duck is set by the chart: use lameDuckSeconds, from which the pod's grace period follows" -}}
{{- end -}}
{{- $ways := list -}}
{{- range $way := list "credentials" "nkeySeed" "token" "user" -}}
{{- if hasKey $.Values.nats.auth $way -}}
{{- $ways = append $ways $way -}}
{{- end -}}
{{- end -}}
{{- if gt (len $ways) 1 -}}
{{- fail (printf "nats.auth has %s: keep one way to authenticate" (join " and " $ways)) -}}
{{- end -}}
{{- end -}}

{{/* sources of the bridge's configuration. */}}
{{- define "zenduty-bridge.sources" -}}
{{- $dir := include "zenduty-bridge.secretsDir" . -}}
{{- range $name, $s := .Values.sources }}
{{ $name }}:
  signature: {{ $s.signature | default "auto" }}
  {{- with $s.keys }}
  keys:
    {{- range $i, $k := . }}
    - name: {{ $k.name | quote }}
      key_file: {{ printf "%s/source-%s-key-%d" $dir $name $i }}
      {{- with $k.notBefore }}
      not_before: {{ . | quote }}
      {{- end }}
      {{- with $k.notAfter }}
      not_after: {{ . | quote }}
      {{- end }}
    {{- end }}
  {{- end }}
  {{- with $s.basicAuth }}
  basic_auth:
    username: {{ .username | quote }}
    password_file: {{ printf "%s/source-%s-password" $dir $name }}
  {{- end }}
  {{- with $s.allow }}
  allow: {{ toJson . }}
  {{- end }}
  {{- with $s.maxAge }}
  max_age: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* nats of the bridge's configuration, as far as the chart sets it. */}}
{{- define "zenduty-bridge.nats" -}}
{{- $dir := include "zenduty-bridge.secretsDir" . -}}
url: {{ required "nats.url is missing: name the NATS servers, such as nats://nats.nats:4222" .Values.nats.url | quote }}
{{- with .Values.nats.auth }}
{{- if .credentials }}
credentials_file: {{ $dir }}/nats-credentials
{{- end }}
{{- if .nkeySeed }}
nkey_seed_file: {{ $dir }}/nats-nkeyseed
{{- end }}
{{- if .token }}
token_file: {{ $dir }}/nats-token
{{- end }}
{{- if .password }}
user: {{ .user | quote }}
password_file: {{ $dir }}/nats-password
{{- end }}
{{- end }}
{{- with .Values.nats.tls }}
tls:
  {{- if .ca }}
  ca_file: {{ $dir }}/nats-tls-ca
  {{- end }}
  {{- if .cert }}
  cert_file: {{ $dir }}/nats-tls-cert
  key_file: {{ $dir }}/nats-tls-key
  {{- end }}
{{- end }}
{{- end -}}

{{/* tls of the bridge's configuration. */}}
{{- define "zenduty-bridge.tls" -}}
{{- if .Values.tlsSecret -}}
{{- $dir := include "zenduty-bridge.secretsDir" . -}}
cert_file: {{ $dir }}/tls-crt
key_file: {{ $dir }}/tls-key
{{- end -}}
{{- end -}}

{{/* The bridge's configuration file. */}}
{{- define "zenduty-bridge.config" -}}
{{- include "zenduty-bridge.checkConfig" . -}}
{{- $own := dict
      "listen" ":8080" "admin_listen" ":8081" "data_dir" "/data"
      "tls" (include "zenduty-bridge.tls" . | fromYaml)
      "sources" (include "zenduty-bridge.sources" . | fromYaml)
      "nats" (include "zenduty-bridge.nats" . | fromYaml)
      "ingress" (dict "lame_duck" (printf "%ds" (int .Values.lameDuckSeconds))) -}}
{{- mergeOverwrite (deepCopy .Values.config) $own | toYaml -}}
{{- end -}}
