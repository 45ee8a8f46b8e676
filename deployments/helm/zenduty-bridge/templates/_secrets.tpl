{{/* Directory in which the pod finds what Secrets hold, a file for each entry in use. */}}
{{- define "zenduty-bridge.secretsDir" -}}/run/secrets/zenduty-bridge{{- end -}}

{{/*
The entries of Secrets in use, as JSON: a list of {path, name, key}, with the path of the file
below the directory. Whoever writes the configuration and whoever mounts the files read this.
*/}}
{{- define "zenduty-bridge.secrets" -}}
{{- $list := list -}}
{{- range $source, $s := .Values.sources -}}
{{- range $i, $k := ($s.keys | default list) -}}
{{- $list = append $list (dict "path" (printf "source-%s-key-%d" $source $i) "ref" $k.secret) -}}
{{- end -}}
{{- with $s.basicAuth -}}
{{- $list = append $list (dict "path" (printf "source-%s-password" $source) "ref" .password) -}}
{{- end -}}
{{- end -}}
{{- range $what := list "credentials" "nkeySeed" "token" "password" -}}
{{- with get $.Values.nats.auth $what -}}
{{- $list = append $list (dict "path" (printf "nats-%s" ($what | lower)) "ref" .) -}}
{{- end -}}
{{- end -}}
{{- range $what := list "ca" "cert" "key" -}}
{{- with get $.Values.nats.tls $what -}}
{{- $list = append $list (dict "path" (printf "nats-tls-%s" $what) "ref" .) -}}
{{- end -}}
{{- end -}}
{{- with .Values.tlsSecret -}}
{{- range $what := list "crt" "key" -}}
{{- $list = append $list (dict "path" (printf "tls-%s" $what) "ref" (dict "name" $.Values.tlsSecret "key" (printf "tls.%s" $what))) -}}
{{- end -}}
{{- end -}}
{{- with .Values.adminToken -}}
{{- $list = append $list (dict "path" "admin-token" "ref" .) -}}
{{- end -}}
{{- $list | toJson -}}
{{- end -}}

{{/* Sources of the projected volume that holds them. */}}
{{- define "zenduty-bridge.projection" -}}
{{- range include "zenduty-bridge.secrets" . | fromJsonArray }}
- secret:
    name: {{ .ref.name }}
    items:
      - key: {{ .ref.key | quote }}
        path: {{ .path }}
{{- end }}
{{- end -}}
