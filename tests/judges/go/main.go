// Judges of what portcullis signs: cosign's own command, and sigstore-go's library. They also sign what portcullis
// is to verify.
//
//	judges cosign ARGUMENTS...
//	judges verify --trusted-root FILE --bundle FILE --identity WHO --issuer URL sha256:HEX
//	judges sign --signing-config FILE --trusted-root FILE --token FILE [--in-toto] FILE > BUNDLE
package main

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sigstore/cosign/v3/cmd/cosign/cli"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"
)

const (
	patience = 30 * time.Second
	inToto   = "application/vnd.in-toto+json"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "cosign, verify or sign?")
		os.Exit(2)
	}
	command, arguments := os.Args[1], os.Args[2:]
	var err error
	switch command {
	case "cosign":
		root := cli.New()
		root.SetArgs(arguments)
		err = root.Execute()
	case "verify":
		err = verifyBundle(arguments)
	case "sign":
		err = signFile(arguments)
	default:
		err = fmt.Errorf("unknown command %q", command)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func verifyBundle(arguments []string) error {
	flags := flag.NewFlagSet("verify", flag.ExitOnError)
	rootPath := flags.String("trusted-root", "", "trusted root")
	bundlePath := flags.String("bundle", "", "bundle")
	identity := flags.String("identity", "", "subject alternative name of the certificate")
	issuer := flags.String("issuer", "", "issuer of the identity")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	digest, found := strings.CutPrefix(flags.Arg(0), "sha256:")
	if !found {
		return errors.New("the artifact is to be sha256:HEX")
	}
	digestBytes, err := hex.DecodeString(digest)
	if err != nil {
		return err
	}
	trusted, err := root.NewTrustedRootFromPath(*rootPath)
	if err != nil {
		return err
	}
	signed, err := bundle.LoadJSONFromPath(*bundlePath)
	if err != nil {
		return err
	}
	verifier, err := verify.NewVerifier(trusted, verify.WithSignedCertificateTimestamps(1),
		verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1))
	if err != nil {
		return err
	}
	who, err := verify.NewShortCertificateIdentity(*issuer, "", *identity, "")
	if err != nil {
		return err
	}
	_, err = verifier.Verify(signed, verify.NewPolicy(verify.WithArtifactDigest("sha256", digestBytes),
		verify.WithCertificateIdentity(who)))
	return err
}

func signFile(arguments []string) error {
	flags := flag.NewFlagSet("sign", flag.ExitOnError)
	rootPath := flags.String("trusted-root", "", "trusted root")
	configPath := flags.String("signing-config", "", "signing configuration")
	tokenPath := flags.String("token", "", "file with the identity token")
	statement := flags.Bool("in-toto", false, "the file is an in-toto statement")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	data, err := os.ReadFile(flags.Arg(0))
	if err != nil {
		return err
	}
	token, err := os.ReadFile(*tokenPath)
	if err != nil {
		return err
	}
	options, err := services(*configPath)
	if err != nil {
		return err
	}
	options.CertificateProviderOptions = &sign.CertificateProviderOptions{IDToken: string(token)}
	if options.TrustedRoot, err = root.NewTrustedRootFromPath(*rootPath); err != nil {
		return err
	}
	var content sign.Content = &sign.PlainData{Data: data}
	if *statement {
		content = &sign.DSSEData{Data: data, PayloadType: inToto}
	}
	keypair, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		return err
	}
	signed, err := sign.Bundle(content, keypair, options)
	if err != nil {
		return err
	}
	document, err := protojson.Marshal(signed)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(document)
	return err
}

// The services that a signing configuration names.
func services(path string) (sign.BundleOptions, error) {
	var options sign.BundleOptions
	config, err := root.NewSigningConfigFromPath(path)
	if err != nil {
		return options, err
	}
	now := time.Now()
	authority, err := root.SelectService(config.FulcioCertificateAuthorityURLs(), sign.FulcioAPIVersions, now)
	if err != nil {
		return options, err
	}
	options.CertificateProvider = sign.NewFulcio(&sign.FulcioOptions{BaseURL: authority.URL, Timeout: patience})
	logs, err := root.SelectServices(config.RekorLogURLs(), config.RekorLogURLsConfig(), sign.RekorAPIVersions, now)
	if err != nil {
		return options, err
	}
	for _, log := range logs {
		options.TransparencyLogs = append(options.TransparencyLogs, sign.NewRekor(&sign.RekorOptions{
			BaseURL: log.URL, Timeout: patience, Version: log.MajorAPIVersion,
		}))
	}
	stamps, err := root.SelectServices(config.TimestampAuthorityURLs(), config.TimestampAuthorityURLsConfig(),
		sign.TimestampAuthorityAPIVersions, now)
	if err != nil {
		return options, err
	}
	for _, stamp := range stamps {
		options.TimestampAuthorities = append(options.TimestampAuthorities,
			sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: stamp.URL, Timeout: patience}))
	}
	return options, nil
}
