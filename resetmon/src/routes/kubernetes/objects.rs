//! The objects known at the moment.

use std::collections::BTreeMap;

use kube::core::DynamicObject;

use super::kind::Kind;
use super::model::{
    Body, EndpointSlice, Gateway, GatewayClass, Ingress, IngressClass, Key, Node, Pod, Route,
    Service, parse,
};

/// Every object by kind, namespace and name.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    known: BTreeMap<Kind, BTreeMap<Key, Body>>,
    /// Objects of a list that is still coming.
    coming: BTreeMap<Kind, BTreeMap<Key, Body>>,
    /// Objects that are not what their kind says, and why.
    misshapen: BTreeMap<(Kind, Key), String>,
}

/// One step of a watch.
#[derive(Clone, Debug)]
pub enum Change {
    /// A list begins; what is known stays until it is complete.
    Init,
    /// An object of the list.
    InitApply(Box<DynamicObject>),
    /// The list is complete: what it did not have is gone.
    InitDone,
    /// A new or changed object.
    Apply(Box<DynamicObject>),
    /// An object is gone.
    Delete(Box<DynamicObject>),
    /// The API server no longer has the kind.
    Absent,
}

impl Objects {
    /// Takes over one step; `Init` and what follows until `InitDone` changes nothing yet.
    pub fn apply(&mut self, kind: Kind, change: Change) {
        match change {
            Change::Init => {
                self.coming.insert(kind, BTreeMap::new());
            }
            Change::InitApply(object) => {
                if let Some((key, body)) = self.parsed(kind, &object) {
                    self.coming.entry(kind).or_default().insert(key, body);
                }
            }
            Change::InitDone => {
                let listed = self.coming.remove(&kind).unwrap_or_default();
                self.known.insert(kind, listed);
            }
            Change::Apply(object) => {
                let parsed = self.parsed(kind, &object);
                let known = self.known.entry(kind).or_default();
                match parsed {
                    Some((key, body)) => known.insert(key, body),
                    None => known.remove(&Key::of(&object.metadata)),
                };
            }
            Change::Delete(object) => {
                let key = Key::of(&object.metadata);
                self.known.entry(kind).or_default().remove(&key);
                self.misshapen.remove(&(kind, key));
            }
            Change::Absent => {
                self.known.remove(&kind);
                self.coming.remove(&kind);
                self.misshapen.retain(|(of, _), _| *of != kind);
            }
        }
    }

    fn parsed(&mut self, kind: Kind, object: &DynamicObject) -> Option<(Key, Body)> {
        let key = Key::of(&object.metadata);
        match parse(kind, object) {
            Ok(body) => {
                self.misshapen.remove(&(kind, key.clone()));
                Some((key, body))
            }
            Err(reason) => {
                self.misshapen.insert((kind, key), reason);
                None
            }
        }
    }

    /// Objects that could not be read, each with the reason.
    pub fn misshapen(&self) -> impl Iterator<Item = String> {
        self.misshapen
            .iter()
            .map(|((kind, key), reason)| format!("{kind} {key}: {reason}"))
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = (&Key, &Body)> {
        self.known.get(&kind).into_iter().flatten()
    }

    fn one(&self, kind: Kind, key: &Key) -> Option<&Body> {
        self.known.get(&kind)?.get(key)
    }
}

macro_rules! views {
    ($($(#[$doc:meta])* $all:ident $(, $one:ident)?: $kind:ident => $type:ident;)*) => {
        impl Objects {
            $(
                $(#[$doc])*
                pub fn $all(&self) -> impl Iterator<Item = (&Key, &$type)> {
                    self.of(Kind::$kind).filter_map(|(key, body)| match body {
                        Body::$type(body) => Some((key, body)),
                        _ => None,
                    })
                }
                $(
                    /// The one called `key`.
                    #[must_use]
                    pub fn $one(&self, key: &Key) -> Option<&$type> {
                        match self.one(Kind::$kind, key)? {
                            Body::$type(body) => Some(body),
                            _ => None,
                        }
                    }
                )?
            )*
        }
    };
}

views! {
    /// Pods of this node.
    pods, pod: Pod => Pod;
    /// Nodes.
    nodes: Node => Node;
    /// Services.
    services, service: Service => Service;
    /// Endpoint slices.
    slices: EndpointSlice => EndpointSlice;
    /// Ingresses.
    ingresses: Ingress => Ingress;
    /// Ingress classes.
    ingress_classes, ingress_class: IngressClass => IngressClass;
    /// Gateways.
    gateways, gateway: Gateway => Gateway;
    /// Gateway classes.
    gateway_classes, gateway_class: GatewayClass => GatewayClass;
}

impl Objects {
    /// Routes of every kind of the Gateway API.
    pub fn routes(&self) -> impl Iterator<Item = (Kind, &Key, &Route)> {
        [
            Kind::HttpRoute,
            Kind::GrpcRoute,
            Kind::TcpRoute,
            Kind::TlsRoute,
        ]
        .into_iter()
        .flat_map(move |kind| {
            self.of(kind).filter_map(move |(key, body)| match body {
                Body::Route(route) => Some((kind, key, route)),
                _ => None,
            })
        })
    }
}
