{{- define "peregrine.name" -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 45 | trimSuffix "-" -}}
{{- end -}}

{{/* Labels by which the pods of one role are found: (list $ role). */}}
{{- define "peregrine.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "peregrine.labels" -}}
{{ include "peregrine.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version }}
{{- end -}}

{{- define "peregrine.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* The secret of the stores: URLs of each role, the authority. */}}
{{- define "peregrine.stores" -}}
{{- if .Values.stores.bundled }}{{ include "peregrine.name" . }}-stores{{ else }}{{ required "stores.existingSecret must name a secret with the stores' URLs, for stores.bundled is false" .Values.stores.existingSecret }}{{ end -}}
{{- end -}}

{{- define "peregrine.ca" -}}
{{- if or (and .Values.stores.bundled .Values.stores.tls) (and (not .Values.stores.bundled) .Values.stores.existingCa) }}yes{{ end -}}
{{- end -}}

{{- define "peregrine.apiKey" -}}
{{ .Values.apiKeySecret | default (printf "%s-api-key" (include "peregrine.name" .)) }}
{{- end -}}

{{/* What a container may: nothing. */}}
{{- define "peregrine.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Of a pod, with its user: (list user). */}}
{{- define "peregrine.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ . }}
  runAsGroup: {{ . }}
  fsGroup: {{ . }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Where pods of this release run: $. Spread, so that one node does not take both. */}}
{{- define "peregrine.places" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "peregrine.selector" . | nindent 8 }}
{{- end -}}

{{/* Environment variables from maps, the last one winning: (list map map ...). */}}
{{- define "peregrine.settings" -}}
{{- $all := dict -}}
{{- range . }}{{- range $name, $value := . }}{{- $_ := set $all $name $value }}{{- end }}{{- end }}
{{- range $name, $value := $all }}
- {name: {{ $name }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- end -}}
