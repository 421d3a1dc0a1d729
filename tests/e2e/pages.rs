//! The commands of the front page that start Envoy, as they stand there, but for the ports.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use everycall_tests::envoy::{binary, root};

/// The command line, built beside this test.
fn everycall() -> PathBuf {
    let built = std::env::current_exe().unwrap();
    let folder = built.parent().and_then(Path::parent).unwrap();
    let program = folder.join("everycall");
    if !program.exists() {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--locked", "--package", "everycall", "--target-dir"])
            .arg(folder.parent().unwrap())
            .current_dir(root())
            .status();
        assert!(status.unwrap().success());
    }
    program
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn the_front_page_starts_envoy_and_is_answered() {
    let page = std::fs::read_to_string(root().join("README.md")).unwrap();
    let block = page.split("```").find(|block| block.contains("envoy --config-path")).unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let rendered = temporary.path().join("envoy.yaml").display().to_string();
    let mut script = block.strip_prefix("sh").unwrap().replace("target/envoy.yaml", &rendered);
    for port in ["8080", "8081", "8082"] {
        assert!(script.contains(&format!("127.0.0.1:{port}")), "{port}");
        script = script.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{{{port}}}"));
    }
    let ports = [("{8080}", free_port()), ("{8081}", free_port()), ("{8082}", free_port())];
    // What is built is there; the tests run several Envoys at once.
    script = script
        .lines()
        .filter(|line| !line.starts_with("make ") && !line.starts_with("cargo "))
        .fold("trap 'kill $(jobs -p)' EXIT\n".to_owned(), |script, line| script + line + "\n");
    let listen = format!("render envoy --listen 127.0.0.1:{{8080}} --admin 127.0.0.1:{} ", free_port());
    script = script.replace("render envoy ", &listen);
    script = script.replace("envoy --config-path", "envoy --disable-hot-restart --config-path");
    let curl = "curl --silent --retry 60 --retry-delay 1 --retry-connrefused --output /dev/null --write-out '%{http_code}\\n' ";
    script = script.replace("curl ", curl);
    for (name, port) in ports {
        script = script.replace(name, &port.to_string());
    }
    let tools = temporary.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    std::os::unix::fs::symlink(binary().unwrap(), tools.join("envoy")).unwrap();
    std::os::unix::fs::symlink(everycall(), tools.join("everycall")).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-eu", "-c", &script])
        .env("PATH", path)
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let codes: Vec<&str> = out.lines().filter(|line| line.len() == 3).collect();
    assert_eq!(codes, ["200", "401"], "{script}\n{out}\n{err}");
}
