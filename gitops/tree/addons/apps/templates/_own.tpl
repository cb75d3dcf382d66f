{{/* Values of the charts of this tree; empty for a folder of manifests. */}}
{{- define "values.monitoring" -}}{}{{- end -}}

{{- define "values.secret-stores" -}}
region: {{ .Values.cluster.region }}
cluster: {{ .Values.cluster.name }}
{{- end -}}

{{- define "values.ingress" -}}
host: {{ .Values.ingress.host | quote }}
apis: {{ .Values.apis | toJson }}
{{- end -}}
