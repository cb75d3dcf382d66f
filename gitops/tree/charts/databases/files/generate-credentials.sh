# Makes each Secret that is not there yet, with a password of 24 random bytes. It may only create:
# what is there is neither read nor changed. Nothing of a password is printed.
set -eu
umask 077
account=/var/run/secrets/kubernetes.io/serviceaccount
secrets=https://kubernetes.default.svc/api/v1/namespaces/$(cat "$account/namespace")/secrets
printf 'Authorization: Bearer %s\nContent-Type: application/json\n' "$(cat "$account/token")" >/tmp/headers

random() { head -c 24 /dev/urandom | base64 | tr '+/' '-_'; }

# create NAME DATA: DATA is JSON
create() {
  status=$(
    printf '{"metadata": {"name": "%s-credentials", "labels": {"app.kubernetes.io/part-of": "databases"}}, "stringData": %s}' "$1" "$2" |
      curl --silent --show-error --retry 10 --retry-connrefused --max-time 30 --cacert "$account/ca.crt" \
        --header @/tmp/headers --data @- --output /dev/null --write-out '%{http_code}' "$secrets"
  )
  case $status in
    201) echo "$1-credentials: made" ;;
    409) echo "$1-credentials: there already" ;;
    *)
      echo "$1-credentials: the API server answered $status" >&2
      return 1
      ;;
  esac
}

password=$(random)
create postgresql "{\"username\": \"ecoeco\", \"password\": \"$password\"}"
password=$(random)
create redis "{\"password\": \"$password\", \"auth.conf\": \"requirepass $password\\n\"}"
password=$(random)
create rabbitmq "{\"username\": \"ecoeco\", \"password\": \"$password\", \"default_user.conf\": \"default_user = ecoeco\\ndefault_pass = $password\\n\"}"
