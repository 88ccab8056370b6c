# Builds the Kubernetes API server of Debian 12's source package (1.20, with everything vendored).
#
# $1: the folder to work in; the program is put at kube-apiserver there.
# $2: a Debian mirror.
#
# Needs golang-1.19-go. Takes some minutes of both cores of a small machine, once.
set -eu
out=$1 mirror=$2
suite=bookworm
scratch=$out/build
rm -rf "$scratch"
mkdir -p "$scratch/apt/lists/partial" "$scratch/apt/cache/archives/partial" "$scratch/src/k8s.io"
cd "$scratch"

# The machine's own list of sources is not touched.
key=/usr/share/keyrings/debian-archive-keyring.gpg
for kind in deb deb-src; do
    echo "$kind [signed-by=$key] $mirror $suite main"
done > apt/sources.list
apt() {
    apt-get --quiet \
        -o "Dir::Etc::sourcelist=$scratch/apt/sources.list" -o Dir::Etc::sourceparts=- \
        -o "Dir::State::lists=$scratch/apt/lists" -o "Dir::Cache=$scratch/apt/cache" \
        -o Acquire::Retries=3 -o Acquire::Languages=none "$@"
}
apt update
apt source --download-only kubernetes
tar -xzf kubernetes_*.orig.tar.gz
mv kubernetes-1.20* src/k8s.io/kubernetes

# The reflect2 in the package's vendored tree corrupts maps when compiled with Go 1.18 or newer, and
# the API server dies of it with custom resources. Debian's own package of reflect2 is mended.
apt download golang-github-modern-go-reflect2-dev
dpkg -x golang-github-modern-go-reflect2-dev_*.deb reflect2
vendored=src/k8s.io/kubernetes/vendor/github.com/modern-go/reflect2
rm -f "$vendored"/*.go "$vendored"/*.s
cp reflect2/usr/share/gocode/src/github.com/modern-go/reflect2/*.go \
    reflect2/usr/share/gocode/src/github.com/modern-go/reflect2/*.s "$vendored/"
rm -f "$vendored"/*_test.go

export GOROOT=/usr/lib/go-1.19 GOPATH="$scratch" GOCACHE="$scratch/cache"
export GO111MODULE=off CGO_ENABLED=0 GOFLAGS=-p=2 PATH="/usr/lib/go-1.19/bin:$PATH"
cd src/k8s.io/kubernetes

# The source package lacks what its build generates: the OpenAPI description of all types.
go build -o "$scratch/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
folders=$(
    grep -rl --include='*.go' '+k8s:openapi-gen=' ./pkg ./cmd ./staging/src/k8s.io \
        | grep -v -E 'testdata|/test/|sample-|codegen|generator' \
        | xargs -n1 dirname | sort -u \
        | sed -e 's#^\./staging/src/#k8s.io/kubernetes/vendor/#' -e 's#^\./#k8s.io/kubernetes/#' \
        | paste -sd,
)
"$scratch/openapi-gen" --logtostderr -i "$folders" -p k8s.io/kubernetes/pkg/generated/openapi \
    -O zz_generated.openapi -h hack/boilerplate/boilerplate.generatego.txt -r /dev/null

version=
for package in component-base/version client-go/pkg/version; do
    at=k8s.io/kubernetes/vendor/k8s.io/$package
    version="$version -X $at.gitVersion=v1.20.2 -X $at.gitMajor=1 -X $at.gitMinor=20"
done
go build -ldflags "-s -w$version" -o "$scratch/kube-apiserver" ./cmd/kube-apiserver
mv "$scratch/kube-apiserver" "$out/kube-apiserver"
cd "$out"
# Go's module cache is read-only in places.
chmod -R u+w "$scratch"
rm -rf "$scratch"
