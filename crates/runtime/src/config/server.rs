//! `[server]`.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use url::Url;

use super::origin::WebOrigin;
use super::section::section;

section! {
    /// Where the node listens, what it is called outside, and where it keeps its files.
    server: ServerConfig {
        /// Address and port to listen on. Port 0 picks a free one; `localhost:PORT` and `:PORT` (all interfaces) work, too.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 7777)), also "PARLOR_LISTEN";
        /// Folder of the database and the secret key. When `XDG_DATA_HOME` is set, the default is `parlor` in there.
        data_dir: PathBuf = PathBuf::from("parlor-data"), shown "~/.local/share/parlor", also "PARLOR_DATA_DIR";
        /// File with the certificate, and those of the authorities between, in PEM. With it the node speaks TLS and nothing else. A new file is taken within a minute.
        tls_cert: Option<PathBuf> = None;
        /// File with the private key of `tls_cert`, in PEM.
        tls_key: Option<PathBuf> = None;
        /// The address under which people reach the server, for links. When it is not set, the address of the request.
        public_url: Option<Url> = None;
        /// Origins whose pages may open a WebSocket. When it is empty, only pages of the same host.
        allowed_origins: Vec<WebOrigin> = Vec::new();
        /// Origins whose pages may call the HTTP API. When it is empty, only pages of the same host.
        cors_origins: Vec<WebOrigin> = Vec::new();
        /// Proxies whose `X-Forwarded-For` is believed.
        trusted_proxies: Vec<IpNet> = Vec::new();
        /// Accepts the access token in the address of the WebSocket (`?token=`), where it ends up in logs.
        allow_query_token: bool = false;
        /// Threads that serve connections; 0 means one for each core.
        shards: usize = 0, where |n| *n <= 256 => "must be at most 256";
    }
}
