// Not to be built: it pins the module of GitHub's own command, whose test data has an attestation by GitHub's instance.
module portcullis.dev/github

go 1.25

require github.com/cli/cli/v2 v2.83.0
