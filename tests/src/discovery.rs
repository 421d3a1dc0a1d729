//! A configuration that changes while Envoy runs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // the document is the rendering

use serde_json::{json, Value};

use crate::envoy::{connection_manager, wasm_filter};

/// The filter's configuration in a file that can be replaced while Envoy runs (ECDS).
pub struct Discovery {
    directory: tempfile::TempDir,
    filter: Value,
}

impl Discovery {
    /// Puts it in the place of the filter of the first listener. Nothing is there to be found yet.
    ///
    /// # Panics
    /// It has none, or no folder can be made.
    pub fn of(document: &mut Value) -> Self {
        let manager = connection_manager(&mut document["static_resources"]["listeners"][0]);
        let directory = tempfile::tempdir().unwrap();
        let path = json!({"path": directory.path().join("filter.json"), "watched_directory": {"path": directory.path()}});
        let filter = std::mem::replace(
            wasm_filter(manager),
            json!({"name": "everycall", "config_discovery": {
                "config_source": {"resource_api_version": "V3", "path_config_source": path},
                "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"]}}),
        );
        Self { directory, filter: filter["typed_config"].clone() }
    }

    /// This is the configuration from now on.
    ///
    /// # Panics
    /// It can't be written.
    pub fn put(&self, config: &Value) {
        let mut filter = self.filter.clone();
        filter["config"]["configuration"]["value"] = json!(config.to_string());
        let resource = json!({"resources": [{"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            "name": "everycall", "typed_config": filter}]});
        // Whole or not at all.
        std::fs::write(self.directory.path().join("new"), resource.to_string()).unwrap();
        std::fs::rename(self.directory.path().join("new"), self.directory.path().join("filter.json"))
            .unwrap();
    }
}
