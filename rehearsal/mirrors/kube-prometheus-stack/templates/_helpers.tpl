{{/* Everything here renders JSON, which is YAML on one line, so that no template has to indent. */}}

{{/* Labels of an object. In: root, app (what upstream's label of that name says). */}}
{{- define "stack.labels" -}}
{{- $root := .root -}}
{{- dict "app" .app "app.kubernetes.io/managed-by" $root.Release.Service
      "app.kubernetes.io/instance" $root.Release.Name "app.kubernetes.io/part-of" $root.Chart.Name
      "app.kubernetes.io/version" ($root.Chart.Version | toString) "release" $root.Release.Name | toJson -}}
{{- end -}}

{{/* An image. In: image, tag (for an empty one). */}}
{{- define "stack.image" -}}
{{- printf "%s/%s:%s" .image.registry .image.repository (.image.tag | default .tag) | toJson -}}
{{- end -}}

{{/* Which monitors and rules are taken: all, or those with the release's label. In: root, nil. */}}
{{- define "stack.selector" -}}
{{- if .nil -}}
{{- dict "matchLabels" (dict "release" .root.Release.Name) | toJson -}}
{{- else -}}
{}
{{- end -}}
{{- end -}}
