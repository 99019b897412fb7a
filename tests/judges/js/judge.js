// Sigstore's JavaScript libraries as a judge of what portcullis signs, and as a signer of what it is to verify.
//
//   node judge.js verify TRUSTED_ROOT BUNDLE IDENTITY ISSUER [ARTIFACT]
//   node judge.js sign SIGNING_CONFIG TOKEN_FILE message|dsse FILE > BUNDLE
import { readFileSync } from 'node:fs';
import { bundleFromJSON, bundleToJSON } from '@sigstore/bundle';
import { SigningConfig, TrustedRoot } from '@sigstore/protobuf-specs';
import { bundleBuilderFromSigningConfig } from '@sigstore/sign';
import { Verifier, toSignedEntity, toTrustMaterial } from '@sigstore/verify';

const json = (path) => JSON.parse(readFileSync(path, 'utf8'));

function verify(rootPath, bundlePath, identity, issuer, artifactPath) {
  const material = toTrustMaterial(TrustedRoot.fromJSON(json(rootPath)));
  const artifact = artifactPath && readFileSync(artifactPath);
  const entity = toSignedEntity(bundleFromJSON(json(bundlePath)), artifact);
  // The library takes a pattern: the identity is to be the whole.
  const exactly = `^${identity.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`;
  new Verifier(material).verify(entity, { subjectAlternativeName: exactly, extensions: { issuer } });
}

async function sign(configPath, tokenPath, form, path) {
  const token = readFileSync(tokenPath, 'utf8').trim();
  const builder = bundleBuilderFromSigningConfig({
    signingConfig: SigningConfig.fromJSON(json(configPath)),
    identityProvider: { getToken: async () => token },
    bundleType: form === 'dsse' ? 'dsseEnvelope' : 'messageSignature',
    fetchOptions: { timeout: 20000, retry: false },
  });
  const type = form === 'dsse' ? 'application/vnd.in-toto+json' : undefined;
  const bundle = await builder.create({ data: readFileSync(path), type });
  process.stdout.write(JSON.stringify(bundleToJSON(bundle)));
}

const [command, ...rest] = process.argv.slice(2);
try {
  if (command === 'verify') verify(...rest);
  else if (command === 'sign') await sign(...rest);
  else throw new Error(`verify or sign, not ${command}`);
} catch (error) {
  console.error(`${error.code ?? ''} ${error.message} ${error.cause ?? ''}`);
  process.exitCode = 1;
}
