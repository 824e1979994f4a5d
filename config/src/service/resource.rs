//! `service::telemetry::resource`: what the collector says of itself.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::tree::{Node, Value};

/// `resource`: `{attributes: [{name, value}]}`, or the older map of name to value. A null value removes a default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceAttributes {
    /// Name and value; `None` removes.
    pub attributes: Vec<(String, Option<String>)>,
    /// Written in the older form.
    pub legacy: bool,
}

impl Serialize for ResourceAttributes {
    /// In the older form, which is shorter.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.attributes.len()))?;
        for (name, value) in &self.attributes {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for ResourceAttributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize, serde::Serialize)]
        struct Attribute {
            name: String,
            #[serde(default)]
            value: Option<Node>,
            #[serde(default, rename = "type")]
            _type: Option<String>,
        }

        struct Resource;

        impl<'de> Visitor<'de> for Resource {
            type Value = ResourceAttributes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of resource attributes")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<ResourceAttributes, A::Error> {
                let text = |node: Option<Node>| match node {
                    None | Some(Node { value: Value::Null, .. }) => Ok(None),
                    Some(node) => node
                        .text()
                        .map(|text| Some(text.to_owned()))
                        .ok_or_else(|| de::Error::custom("a resource attribute must be a scalar")),
                };
                let mut resource = ResourceAttributes::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "attributes" => {
                            for attribute in map.next_value::<Vec<Attribute>>()? {
                                resource.attributes.push((attribute.name, text(attribute.value)?));
                            }
                        }
                        "schema_url" | "detection/development" | "detectors" | "attributes_list" => {
                            map.next_value::<Option<Node>>()?;
                        }
                        _ => {
                            resource.legacy = true;
                            let value = text(map.next_value::<Option<Node>>()?)?;
                            resource.attributes.push((key, value));
                        }
                    }
                }
                Ok(resource)
            }
        }

        deserializer.deserialize_map(Resource)
    }
}
