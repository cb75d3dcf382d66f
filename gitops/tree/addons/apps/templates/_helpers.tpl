{{/* What the environment says of add-ons; empty if it says nothing. */}}
{{- define "environment" -}}
{{- .Files.Get (printf "environments/%s.yaml" .Values.environment) -}}
{{- end -}}

{{/* An add-on's values: those of all environments, with the environment's and those that switch
parts off laid over. In: root, name. */}}
{{- define "values" -}}
{{- $environment := include "environment" .root | fromYaml -}}
{{- $values := include (printf "values.%s" .name) .root | fromYaml -}}
{{- $values = mergeOverwrite $values (get ($environment.values | default dict) .name | default dict) -}}
{{- range get ($environment.parts | default dict) .name | default list -}}
{{- $values = mergeOverwrite $values .values -}}
{{- end -}}
{{- $values | toYaml -}}
{{- end -}}

{{/* A node of the platform's own, where pods of add-ons do not push those of APIs aside. */}}
{{- define "platformNode" -}}
role: monitoring
{{- end -}}

{{/* Roles of AWS for pods (self-hosted IRSA): a token that AWS knows, and the role to take with it.
All of it is empty for a service account without a role. In: root, account (namespace/service
account). */}}
{{- define "irsa.env" -}}
{{- with get .root.Values.roleArns .account -}}
AWS_ROLE_ARN: {{ . }}
AWS_WEB_IDENTITY_TOKEN_FILE: /var/run/secrets/sts.amazonaws.com/token
{{- end -}}
{{- end -}}

{{/* The same as a list of name and value. */}}
{{- define "irsa.envList" -}}
{{- range $name, $value := include "irsa.env" . | fromYaml }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end -}}
{{- end -}}

{{- define "irsa.volumes" -}}
{{- if get .root.Values.roleArns .account -}}
- name: aws-token
  projected:
    sources:
      - serviceAccountToken: {audience: sts.amazonaws.com, expirationSeconds: 86400, path: token}
{{- end -}}
{{- end -}}

{{- define "irsa.volumeMounts" -}}
{{- if get .root.Values.roleArns .account -}}
- {name: aws-token, mountPath: /var/run/secrets/sts.amazonaws.com, readOnly: true}
{{- end -}}
{{- end -}}
