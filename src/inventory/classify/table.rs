//! What programs are known by. The strings are facts of the programs themselves.

/// A program or library.
pub(super) struct Classifier {
    /// Name of the package.
    pub(super) name: &'static str,
    /// `VENDOR:PRODUCT` of its CPE.
    pub(super) cpe: &'static str,
    /// Whether a file of that name may be it.
    pub(super) wants: fn(&str) -> bool,
    /// What its version stands beside, the surest first.
    pub(super) patterns: &'static [Pattern],
    /// What may follow its numbers, with digits behind; `[a-z]` is a letter or two.
    pub(super) suffixes: &'static [&'static str],
}

/// Bytes that a version stands beside.
pub(super) struct Pattern {
    pub(super) mark: &'static [u8],
    pub(super) form: Form,
}

/// Where the version stands.
pub(super) enum Form {
    /// Right behind the mark.
    After,
    /// Right before it.
    Before,
    /// Before it, behind the last of this word.
    Named(&'static [u8]),
    /// Before the name of the container it was built in, which stands before the mark, a `-` and the
    /// beginning of the time.
    Host,
    /// Alone behind the mark's first byte, with one of these words nearby.
    Near(&'static [&'static [u8]]),
}

const fn after(mark: &'static [u8]) -> Pattern {
    Pattern { mark, form: Form::After }
}

const fn before(mark: &'static [u8]) -> Pattern {
    Pattern { mark, form: Form::Before }
}

const fn host(mark: &'static [u8]) -> Pattern {
    Pattern { mark, form: Form::Host }
}

/// Whether a name is `stem`, or `stem` and a version: `php8.2` but not `phpize`.
fn versioned(name: &str, stem: &str) -> bool {
    let rest = name.strip_suffix(".exe").unwrap_or(name).strip_prefix(stem);
    rest.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-'))
}

/// Whether a name is that of a shared library: `libphp8.so`, `libssl.so.3`.
fn library(name: &str, stem: &str) -> bool {
    let rest = name.strip_prefix(stem).and_then(|rest| rest.split_once(".so"));
    rest.is_some_and(|(between, behind)| {
        let is_version =
            |text: &str| text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'm'));
        is_version(between) && is_version(behind)
    })
}

/// Every program that is known.
pub(super) static CLASSIFIERS: &[Classifier] = &[
    Classifier {
        name: "node",
        cpe: "nodejs:node.js",
        wants: |name| matches!(name, "node" | "nodejs" | "node.exe"),
        patterns: &[after(b"node.js/v"), after(b"/download/release/v"), after(b"\0node v")],
        suffixes: &[],
    },
    Classifier {
        // Its version is searched in its own way.
        name: "python",
        cpe: "python:python",
        wants: |name| versioned(name, "python") || library(name, "libpython"),
        patterns: &[],
        suffixes: &[],
    },
    Classifier {
        name: "openssl",
        cpe: "openssl:openssl",
        wants: |name| name == "openssl" || library(name, "libcrypto") || library(name, "libssl"),
        patterns: &[after(b"\0OpenSSL ")],
        suffixes: &["-alpha", "-beta", "-rc", "[a-z]"],
    },
    Classifier {
        name: "glibc",
        cpe: "gnu:glibc",
        // Until 2.33 the file has the version in its name, and `libc.so.6` is a link to it.
        wants: |name| name == "libc.so.6" || (name.starts_with("libc-2.") && library(name, "libc")),
        patterns: &[after(b" stable release version ")],
        suffixes: &[],
    },
    Classifier {
        name: "nginx",
        cpe: "f5:nginx",
        wants: |name| matches!(name, "nginx" | "nginx-debug"),
        patterns: &[after(b"nginx version: nginx/"), after(b"nginx version: openresty/")],
        suffixes: &[],
    },
    Classifier {
        name: "redis",
        cpe: "redis:redis",
        // They are one program, and which of its names is the file is the packager's choice.
        wants: |name| {
            matches!(name, "redis-server" | "redis-check-rdb" | "redis-check-aof" | "redis-sentinel")
        },
        patterns: &[
            before(b"buildkitsandbox-"),
            host(b"-14"),
            host(b"-15"),
            host(b"-16"),
            host(b"-17"),
            host(b"-18"),
            after(b"Redis version "),
        ],
        suffixes: &[],
    },
    Classifier {
        name: "valkey",
        cpe: "lfprojects:valkey",
        wants: |name| name == "valkey-server",
        patterns: &[before(b"buildkitsandbox-")],
        suffixes: &[],
    },
    Classifier {
        name: "postgresql",
        cpe: "postgresql:postgresql",
        wants: |name| name == "postgres",
        patterns: &[after(b"\0PostgreSQL ")],
        suffixes: &["alpha", "beta", "rc"],
    },
    Classifier {
        name: "mariadb",
        cpe: "mariadb:mariadb",
        wants: |name| matches!(name, "mariadb" | "mariadbd" | "mysql" | "mysqld"),
        patterns: &[before(b"-MariaDB"), after(b"/mariadb-")],
        suffixes: &[],
    },
    Classifier {
        name: "mysql",
        cpe: "oracle:mysql",
        wants: |name| matches!(name, "mysql" | "mysqld"),
        patterns: &[after(b"/mysql-")],
        suffixes: &["-rc", "-dmr"],
    },
    Classifier {
        name: "percona-server",
        cpe: "percona:percona_server",
        wants: |name| matches!(name, "mysql" | "mysqld"),
        patterns: &[after(b"/percona-server-")],
        suffixes: &[],
    },
    Classifier {
        name: "php",
        cpe: "php:php",
        wants: |name| versioned(name, "php") || versioned(name, "php-fpm") || library(name, "libphp"),
        patterns: &[after(b"X-Powered-By: PHP/")],
        suffixes: &["alpha", "beta", "RC", "-dev"],
    },
    Classifier {
        name: "ruby",
        cpe: "ruby-lang:ruby",
        wants: |name| versioned(name, "ruby") || library(name, "libruby"),
        patterns: &[after(b"\0ruby ")],
        suffixes: &["preview", "rc", "dev", "p"],
    },
    Classifier {
        name: "perl",
        cpe: "perl:perl",
        wants: |name| versioned(name, "perl") || library(name, "libperl"),
        patterns: &[after(b"/lib/perl5/"), after(b"/share/perl/")],
        suffixes: &[],
    },
    Classifier {
        name: "busybox",
        cpe: "busybox:busybox",
        wants: |name| matches!(name, "busybox" | "busybox.static"),
        patterns: &[after(b"BusyBox v")],
        suffixes: &[],
    },
    Classifier {
        name: "httpd",
        cpe: "apache:http_server",
        wants: |name| matches!(name, "httpd" | "apache2"),
        patterns: &[after(b"\0Apache/")],
        suffixes: &["-dev"],
    },
    Classifier {
        name: "haproxy",
        cpe: "haproxy:haproxy",
        wants: |name| name == "haproxy",
        patterns: &[
            Pattern { mark: b", released 20", form: Form::Named(b"version ") },
            after(b"HAProxy version "),
            after(b"HA-Proxy version "),
        ],
        suffixes: &["-dev", "-rc"],
    },
    Classifier {
        name: "envoy",
        cpe: "envoyproxy:envoy",
        wants: |name| name == "envoy",
        // `REVISION/VERSION/Clean/RELEASE/BoringSSL` is put together at run time; the version stands alone.
        patterns: &[Pattern {
            mark: b"\x001.",
            form: Form::Near(&[b"envoy_reloadable_features_", b"envoy_quic_"]),
        }],
        suffixes: &["-dev"],
    },
    Classifier {
        name: "mongodb",
        cpe: "mongodb:mongodb",
        wants: |name| name == "mongod",
        patterns: &[before(b"\0tcmalloc"), before(b"\0heap_size"), before(b"\0cppdefines")],
        suffixes: &[],
    },
    Classifier {
        name: "erlang",
        cpe: r"erlang:erlang\/otp",
        wants: |name| matches!(name, "erlexec" | "beam.smp"),
        patterns: &[after(b"/src/otp_src_"), after(b"/usr/local/src/otp-")],
        suffixes: &["-rc"],
    },
    Classifier {
        name: "curl",
        cpe: "haxx:curl",
        wants: |name| name == "curl",
        patterns: &[after(b"curl/")],
        suffixes: &[],
    },
    Classifier {
        name: "bash",
        cpe: "gnu:bash",
        wants: |name| name == "bash",
        patterns: &[after(b"@(#)Bash version ")],
        suffixes: &[],
    },
    Classifier {
        name: "deno",
        cpe: "deno:deno",
        wants: |name| name == "deno",
        patterns: &[after(b"Deno/")],
        suffixes: &[],
    },
    Classifier {
        name: "lighttpd",
        cpe: "lighttpd:lighttpd",
        wants: |name| name == "lighttpd",
        patterns: &[after(b"\0lighttpd/")],
        suffixes: &[],
    },
    Classifier {
        name: "proftpd",
        cpe: "proftpd:proftpd",
        wants: |name| name == "proftpd",
        patterns: &[after(b"\0ProFTPD Version ")],
        suffixes: &["[a-z]"],
    },
    Classifier {
        name: "ffmpeg",
        cpe: "ffmpeg:ffmpeg",
        wants: |name| name == "ffmpeg" || library(name, "libavcodec") || library(name, "libavformat"),
        patterns: &[after(b"%s version "), after(b"FFmpeg version ")],
        suffixes: &[],
    },
    Classifier {
        name: "memcached",
        cpe: "memcached:memcached",
        wants: |name| name == "memcached",
        patterns: &[after(b"memcached ")],
        suffixes: &[],
    },
];
