use proptest::prelude::*;

use super::*;
use crate::inventory::program::testing::Elf;

fn parse(path: &str, text: &[u8]) -> Vec<(String, String)> {
    let elf = Elf::new().section(".rodata", [b"text\0".as_slice(), text, b"\0more"].concat()).build();
    let path = ImagePath::from(path);
    assert!(Classify.wants(&path, &elf[..16]), "{path}");
    let facts = Classify.parse(&path, &elf).unwrap();
    assert!(facts.packages.iter().all(|package| package.guessed));
    facts.packages.into_iter().map(|package| (package.name, package.version)).collect()
}

#[test]
fn programs_are_known_by_what_stands_in_them() {
    let cases: &[(&str, &[u8], &str, &str)] = &[
        ("usr/local/bin/node", b"node.js/v22.9.0", "node", "22.9.0"),
        ("usr/bin/nodejs", b"https://nodejs.org/download/release/v18.17.0/node-v18", "node", "18.17.0"),
        ("usr/local/bin/python3.11", b"3.11.2", "python", "3.11.2"),
        ("usr/local/lib/libpython3.12.so.1.0", b"3.12.0rc1", "python", "3.12.0rc1"),
        ("usr/bin/openssl", b"OpenSSL 1.1.1w  11 Sep 2023", "openssl", "1.1.1w"),
        ("usr/lib/libcrypto.so.3", b"OpenSSL 3.0.11 19 Sep 2023", "openssl", "3.0.11"),
        (
            "lib/libc.so.6",
            b"GNU C Library (Debian GLIBC 2.36-9+deb12u10) stable release version 2.36.\nCopyright",
            "glibc",
            "2.36",
        ),
        ("lib64/libc-2.28.so", b"GNU C Library (GNU libc) stable release version 2.28.", "glibc", "2.28"),
        ("usr/sbin/nginx", b"nginx version: nginx/1.25.3", "nginx", "1.25.3"),
        ("usr/bin/redis-server", b"7.0.14buildkitsandbox-1702957741000000000", "redis", "7.0.14"),
        ("usr/bin/redis-server", b"4.0.11841ce7054bd9-1542359302000000000", "redis", "4.0.11"),
        ("usr/lib/postgresql/16/bin/postgres", b"PostgreSQL 16.1", "postgresql", "16.1"),
        ("usr/bin/postgres", b"PostgreSQL 17beta2", "postgresql", "17beta2"),
        ("usr/sbin/mysqld", b"/build/mysql-8.0.37/sql/sys.cc", "mysql", "8.0.37"),
        ("usr/sbin/mysqld", b"10.6.15-MariaDB-log", "mariadb", "10.6.15"),
        ("usr/local/bin/php", b"X-Powered-By: PHP/8.2.12", "php", "8.2.12"),
        ("usr/lib/apache2/modules/libphp8.so", b"X-Powered-By: PHP/8.3.0RC1", "php", "8.3.0RC1"),
        ("usr/local/lib/libruby.so.3.2", b"ruby 3.2.1 (2023-02-08 rev", "ruby", "3.2.1"),
        ("usr/local/bin/ruby", b"ruby 2.7.7p221 (2022", "ruby", "2.7.7p221"),
        ("usr/local/bin/perl", b"/usr/local/lib/perl5/5.36.0/x86", "perl", "5.36.0"),
        ("bin/busybox", b"BusyBox v1.36.1 (2023", "busybox", "1.36.1"),
        ("usr/local/apache2/bin/httpd", b"Apache/2.4.58 (Unix)", "httpd", "2.4.58"),
        ("usr/local/sbin/haproxy", b"version 2.8.3-86e043a, released 2023/09/07", "haproxy", "2.8.3"),
        ("usr/bin/mongod", b"8.0.17\0cppdefines", "mongodb", "8.0.17"),
        ("usr/lib/erlang/erts-13/bin/beam.smp", b"/usr/src/otp_src_25.3.2.6/erts/", "erlang", "25.3.2.6"),
        ("usr/bin/curl", b"curl/8.5.0", "curl", "8.5.0"),
        ("bin/bash", b"@(#)Bash version 5.2.15(1) release GNU", "bash", "5.2.15"),
        ("usr/bin/deno", b"Deno/2.6.3", "deno", "2.6.3"),
        ("usr/sbin/lighttpd", b"lighttpd/1.4.73", "lighttpd", "1.4.73"),
        ("usr/sbin/proftpd", b"ProFTPD Version 1.3.8b", "proftpd", "1.3.8b"),
        ("usr/local/lib/libavcodec.so.60", b"FFmpeg version 6.0", "ffmpeg", "6.0"),
        ("usr/bin/memcached", b"memcached 1.6.22", "memcached", "1.6.22"),
        ("usr/bin/valkey-server", b"valkey9.0.0buildkitsandbox-17", "valkey", "9.0.0"),
        ("usr/local/bin/envoy", b"1.36.2\0xds.type\0envoy_reloadable_features_x", "envoy", "1.36.2"),
        ("usr/bin/envoy", b"envoy_quic_x\x001.28.0-dev", "envoy", "1.28.0-dev"),
        ("opt/python/versions/3.11.7/lib/libpython3.11.so.1.0", b"/b/Python-3.11.7", "python", "3.11.7"),
        ("usr/lib/libpython3.9.so.1.0", b"/root/.pyenv/versions/3.9.18", "python", "3.9.18"),
        ("venv/bin/python3", b"3.11.2\0strict\0Python %s\n\x003.2.0", "python", "3.11.2"),
        ("usr/bin/python", b"2.7.18\0Python %s\n", "python", "2.7.18"),
    ];
    for (path, text, name, version) in cases {
        assert_eq!(parse(path, text), [((*name).to_owned(), (*version).to_owned())], "{path}");
    }
}

#[test]
fn what_only_mentions_a_program_is_not_it() {
    for (path, text) in [
        ("usr/bin/node", b"needs node.js/vX".as_slice()),
        ("bin/busybox", b"gzip 1.12"),
        ("usr/bin/postgres", b"PostgreSQL 16"),
        ("usr/bin/python3.11", b"3.11.2 is old"),
        // Its file's name says no minor version, and nothing else tells whose version it is.
        ("usr/bin/python3", b"3.11.2"),
        ("usr/bin/python3", b"3.11.2\x003.45.1\0Python %s\n"),
        ("usr/bin/python3", b"3.45.1\0Python %s\n\0SQLite format 3"),
        ("usr/bin/python3", b"2.7.18\0Python %s\n"),
        ("usr/lib/libpython3.so", b"3.11.2"),
        ("usr/bin/python3.11", b"/Python-3.11.2/Modules"),
        ("usr/bin/envoy", b"1.0.0\0envoy.reloadable_features"),
        ("usr/bin/envoy", b"1.0.0\0envoy_quic_\x001.2.3"),
        ("jre/lib/server/libjvm.so", b"for linux-amd64 JRE (17.0.2+8), built"),
        ("jre/lib/server/libjvm.so", b"Server VM (17) for linux JRE (<version>), built"),
        ("usr/bin/redis-server", b"zz1ce7054bd94.0.1-1542"),
        ("usr/sbin/mysqld", b"see /mysql-files"),
    ] {
        assert_eq!(parse(path, text), [], "{path}");
    }
    let wants = |path: &str| Classify.wants(&path.into(), b"\x7fELF");
    for path in ["usr/bin/gzip", "usr/bin/phpize", "usr/bin/perldoc", "usr/lib/libsslx.so", "opt/nginx/conf"]
    {
        assert!(!wants(path), "{path}");
    }
    assert!(!Classify.wants(&"usr/bin/perl".into(), b"#!/bin/sh"));
    // A link's name is asked about without the first bytes.
    assert!(Classify.wants(&"usr/bin/perl".into(), b""));
    assert_eq!(Classify.parse(&"usr/bin/perl".into(), b"#!/lib/perl5/5.1.2"), Ok(Facts::default()));
}

#[test]
fn a_java_library_names_its_runtime() {
    let text = |vm: &str, version: &str| {
        format!("{vm} 64-Bit Server VM ({version}-86) for linux-amd64 JRE ({version}), built on May")
    };
    for (path, vm, version, name, root, cpe) in [
        ("jdk/lib/server/libjvm.so", "OpenJDK", "17.0.2+8", "oracle/openjdk", "jdk", "openjdk:17.0.2:*"),
        (
            "srv/jre/lib/amd64/server/libjvm.so",
            "Java HotSpot(TM)",
            "1.8.0_422-b05",
            "oracle/jdk",
            "srv/jre",
            "jdk:1.8.0:update422",
        ),
        (
            "srv/jre/lib/amd64/server/libjvm.so",
            "OpenJDK",
            "Zulu 8.52.0.23-CA-linux64) (1.8.0_282-b08",
            "azul/zulu",
            "srv/jre",
            "zulu:1.8.0:update282",
        ),
    ] {
        let path = ImagePath::from(path);
        let elf = Elf::new().section(".rodata", text(vm, version)).build();
        assert!(Classify.wants(&path, &elf[..16]));
        let found = Classify.parse(&path, &elf).unwrap().packages.remove(0);
        let version = version.rsplit('(').next().unwrap();
        assert_eq!((found.name.as_str(), found.version.as_str(), found.guessed), (name, version, true));
        assert_eq!(found.location, Some(root.into()));
        let vendor = name.split('/').next().unwrap();
        assert_eq!(found.cpe, Some(format!("cpe:2.3:a:{vendor}:{cpe}:*:*:*:*:*:*")));
    }
}

#[test]
fn go_says_its_version_in_a_text() {
    let path = ImagePath::from("usr/local/go/VERSION");
    assert!(Classify.wants(&path, b"go1.21.5\n"));
    let facts = Classify.parse(&path, b"go1.21.5\ntime 2023").unwrap();
    assert_eq!((facts.packages[0].name.as_str(), facts.packages[0].version.as_str()), ("go", "1.21.5"));
    assert_eq!(Classify.parse(&path, b"devel go1.2"), Ok(Facts::default()));
}

#[test]
fn a_cpe_quotes_what_it_must() {
    let package = found(&"a".into(), "haproxy", "2.9-dev1", "haproxy:haproxy");
    assert_eq!(package.cpe.as_deref(), Some(r"cpe:2.3:a:haproxy:haproxy:2.9\-dev1:*:*:*:*:*:*:*"));
}

#[test]
fn the_test_data_is_read() {
    let bytes = include_bytes!("../../../testdata/inventory/classify/node");
    let facts = Classify.parse(&"usr/bin/node".into(), bytes).unwrap();
    assert_eq!(facts.packages[0].version, "20.1.0");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for classifier in CLASSIFIERS {
            for pattern in classifier.patterns {
                let _ = read(pattern, classifier.suffixes, &bytes, &[pattern.mark, &bytes].concat());
            }
        }
        let marks: &[&[u8]] = &[b"", b"\x001.", b"Python %s\n\0\x003.", b" VM ( JRE ("];
        for name in ["node", "python3.1", "python3", "redis-server", "haproxy", "envoy", "lib/libjvm.so"] {
            for mark in marks {
                let _ = Classify.parse(&name.into(), &[b"\x7fELF", *mark, &bytes].concat());
            }
        }
    }
}
