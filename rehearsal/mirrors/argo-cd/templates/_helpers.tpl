{{/* Everything here renders JSON, which is YAML on one line, so that no template has to indent. */}}

{{/* Labels of an object. In: root, name, component (may be empty). */}}
{{- define "argo-cd.labels" -}}
{{- $labels := include "argo-cd.podLabels" . | fromJson -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version) -}}
{{- $_ := set $labels "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- mergeOverwrite $labels .root.Values.global.additionalLabels | toJson -}}
{{- end -}}

{{/* Labels of a pod: those that stay the same when the chart changes. In: root, name, component. */}}
{{- define "argo-cd.podLabels" -}}
{{- $labels := dict "app.kubernetes.io/name" .name "app.kubernetes.io/part-of" "argocd" -}}
{{- $_ := set $labels "app.kubernetes.io/instance" .root.Release.Name -}}
{{- with .component }}{{ $_ := set $labels "app.kubernetes.io/component" . }}{{ end -}}
{{- $labels | toJson -}}
{{- end -}}

{{/* Annotations of a pod: it is replaced when what it reads at its start changes.
In: root, component (its values), reads (cm, params). */}}
{{- define "argo-cd.podAnnotations" -}}
{{- $annotations := dict -}}
{{- $root := .root -}}
{{- range .reads -}}
{{- $_ := set $annotations (printf "checksum/%s" .) (include (printf "argo-cd.%s" .) $root | sha256sum) -}}
{{- end -}}
{{- mergeOverwrite $annotations .component.podAnnotations | toJson -}}
{{- end -}}

{{/* A container's image. In: root, image (a component's, empty parts are global.image's). */}}
{{- define "argo-cd.image" -}}
{{- $global := .root.Values.global.image -}}
{{- $tag := .image.tag | default $global.tag | default .root.Chart.AppVersion -}}
{{- printf "%s:%s" (.image.repository | default $global.repository) $tag | toJson -}}
{{- end -}}

{{/* A map with every value as a string; numbers as they were written. */}}
{{- define "argo-cd.strings" -}}
{{- $strings := dict -}}
{{- range $key, $value := . -}}
{{- if and (kindIs "float64" $value) (eq (floor $value) $value) }}{{ $value = int64 $value }}{{ end -}}
{{- $_ := set $strings $key (toString $value) -}}
{{- end -}}
{{- $strings | toJson -}}
{{- end -}}

{{/* Data of argocd-cm. */}}
{{- define "argo-cd.cm" -}}
{{- $defaults := dict "url" (printf "https://%s" .Values.global.domain) -}}
{{- include "argo-cd.strings" (merge (omit .Values.configs.cm "create") $defaults) -}}
{{- end -}}

{{/* Data of argocd-cmd-params-cm. */}}
{{- define "argo-cd.params" -}}
{{- $defaults := dict -}}
{{- $logging := .Values.global.logging -}}
{{- range list "controller" "server" "reposerver" "applicationsetcontroller" "notificationscontroller" "dexserver" -}}
{{- $_ := set $defaults (printf "%s.log.format" .) $logging.format -}}
{{- $_ := set $defaults (printf "%s.log.level" .) $logging.level -}}
{{- end -}}
{{- include "argo-cd.strings" (merge (omit .Values.configs.params "create") $defaults) -}}
{{- end -}}

{{/* Data of argocd-secret, without what the server adds by itself. */}}
{{- define "argo-cd.secret" -}}
{{- $given := .Values.configs.secret -}}
{{- $data := dict -}}
{{- $keys := dict "githubSecret" "webhook.github.secret" "gitlabSecret" "webhook.gitlab.secret" "bitbucketServerSecret" "webhook.bitbucketserver.secret" "bitbucketUUID" "webhook.bitbucket.uuid" "gogsSecret" "webhook.gogs.secret" "argocdServerAdminPassword" "admin.password" -}}
{{- range $from, $to := $keys -}}
{{- with get $given $from }}{{ $_ := set $data $to (b64enc .) }}{{ end -}}
{{- end -}}
{{- with index $data "admin.password" -}}
{{- $there := (lookup "v1" "Secret" $.Release.Namespace "argocd-secret").data | default dict -}}
{{- $kept := ternary (get $there "admin.passwordMtime") "" (eq . (get $there "admin.password")) -}}
{{- $now := dateInZone "2006-01-02T15:04:05Z" now "UTC" | b64enc -}}
{{- $mtime := $given.argocdServerAdminPasswordMtime | b64enc | default $kept | default $now -}}
{{- $_ := set $data "admin.passwordMtime" $mtime -}}
{{- end -}}
{{- range $key, $value := $given.extra }}{{ $_ := set $data $key (b64enc $value) }}{{ end -}}
{{- $data | toJson -}}
{{- end -}}

{{/* Ports of the server's Service. */}}
{{- define "argo-cd.serverPorts" -}}
{{- $service := .Values.server.service -}}
{{- $http := dict "name" $service.servicePortHttpName "port" $service.servicePortHttp "protocol" "TCP" "targetPort" 8080 -}}
{{- $https := dict "name" $service.servicePortHttpsName "port" $service.servicePortHttps "protocol" "TCP" "targetPort" 8080 -}}
{{- if eq $service.type "NodePort" -}}
{{- $_ := set $http "nodePort" $service.nodePortHttp -}}
{{- $_ := set $https "nodePort" $service.nodePortHttps -}}
{{- end -}}
{{- list $http $https | toJson -}}
{{- end -}}
