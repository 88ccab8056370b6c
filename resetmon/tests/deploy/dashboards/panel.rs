//! Panels and dashboards in the form that Grafana 10 and newer reads.

use serde_json::{Map, Value, json};

/// Columns of the grid.
const WIDTH: u64 = 24;

/// How a panel shows its queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One number now.
    Stat,
    /// Stacked bars over time.
    Bars,
    /// Lines over time.
    Lines,
    /// A table of the last values, the largest first.
    Table,
    /// The buckets of a histogram over time.
    Heatmap,
}

/// One panel; its place is found when it is put on a dashboard.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    kind: Kind,
    title: &'static str,
    description: &'static str,
    width: u64,
    height: u64,
    unit: &'static str,
    queries: Vec<(String, String)>,
    exemplars: bool,
    columns: &'static [&'static str],
    counted: &'static str,
    mappings: Vec<(&'static str, Value)>,
    red_above: Option<f64>,
}

impl Panel {
    /// A panel without queries.
    pub(super) fn new(kind: Kind, title: &'static str, description: &'static str) -> Self {
        let (width, height) = match kind {
            Kind::Stat => (4, 4),
            Kind::Bars | Kind::Lines | Kind::Heatmap => (12, 8),
            Kind::Table => (24, 9),
        };
        Self {
            kind,
            title,
            description,
            width,
            height,
            unit: "short",
            queries: Vec::new(),
            exemplars: false,
            columns: &[],
            counted: "",
            mappings: Vec::new(),
            red_above: None,
        }
    }

    /// Of this many columns of 24.
    pub(super) fn wide(self, width: u64) -> Self {
        Self { width, ..self }
    }

    /// Values in Grafana's unit of that name.
    pub(super) fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    /// One more query, its series named by `legend`.
    pub(super) fn query(mut self, expression: impl Into<String>, legend: &str) -> Self {
        self.queries.push((expression.into(), legend.to_owned()));
        self
    }

    /// Dots that lead to single resets.
    pub(super) fn with_exemplars(self) -> Self {
        Self {
            exemplars: true,
            ..self
        }
    }

    /// Columns of a table in their order, and what its last one counts.
    pub(super) fn columns(self, columns: &'static [&'static str], counted: &'static str) -> Self {
        Self {
            columns,
            counted,
            ..self
        }
    }

    /// A column of a table whose values are shown as `mappings` has them.
    pub(super) fn words(mut self, column: &'static str, mappings: Value) -> Self {
        self.mappings.push((column, mappings));
        self
    }

    /// Red where a stat is above `limit`, else green.
    pub(super) fn red_above(self, limit: f64) -> Self {
        Self {
            red_above: Some(limit),
            ..self
        }
    }

    fn targets(&self) -> Vec<Value> {
        let targets = self.queries.iter().zip('A'..='Z');
        targets
            .map(|((expression, legend), letter)| {
                let table = self.kind == Kind::Table;
                let instant = table || self.kind == Kind::Stat;
                let format = match self.kind {
                    Kind::Table => "table",
                    Kind::Heatmap => "heatmap",
                    _ => "time_series",
                };
                json!({
                    "refId": letter.to_string(),
                    "datasource": datasource(),
                    "expr": expression,
                    "legendFormat": legend,
                    "format": format,
                    "instant": instant,
                    "range": !instant,
                    "exemplar": self.exemplars,
                })
            })
            .collect()
    }

    /// Whether what the steps show is the growth of counters: a total of levels and rates says nothing.
    fn adds_up(&self) -> bool {
        let grows = |query: &str| query.contains("increase(") || query.contains("last_over_time(");
        self.queries.iter().all(|(query, _)| grows(query))
    }

    fn json(&self, id: usize, x: u64, y: u64) -> Value {
        let (kind, options) = match self.kind {
            Kind::Stat => (
                "stat",
                json!({"colorMode": "background", "graphMode": "none", "textMode": "auto",
                       "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false}}),
            ),
            Kind::Bars | Kind::Lines => {
                let (calculation, heading) = if self.adds_up() {
                    ("sum", "Total")
                } else {
                    ("max", "Max")
                };
                (
                    "timeseries",
                    json!({"legend": {"displayMode": "table", "placement": "right", "showLegend": true,
                                      "calcs": [calculation], "sortBy": heading, "sortDesc": true},
                           "tooltip": {"mode": "multi", "sort": "desc"}}),
                )
            }
            Kind::Table => ("table", json!({"showHeader": true, "cellHeight": "sm"})),
            Kind::Heatmap => (
                "heatmap",
                json!({"calculate": false, "yAxis": {"unit": "s"}, "cellGap": 1,
                       "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
                       "tooltip": {"mode": "single", "yHistogram": true}}),
            ),
        };
        let custom = match self.kind {
            Kind::Bars => json!({"drawStyle": "bars", "fillOpacity": 80, "lineWidth": 0,
                                 "stacking": {"mode": "normal", "group": "A"}}),
            Kind::Lines => json!({"drawStyle": "line", "fillOpacity": 5, "lineWidth": 1,
                                  "spanNulls": false}),
            Kind::Table => {
                json!({"align": "auto", "cellOptions": {"type": "auto", "wrapText": true},
                                  "filterable": true})
            }
            Kind::Stat | Kind::Heatmap => json!({}),
        };
        let steps = match self.red_above {
            Some(limit) => {
                json!([{"color": "green", "value": null}, {"color": "red", "value": limit}])
            }
            None => json!([{"color": "blue", "value": null}]),
        };
        let overrides: Vec<Value> = self.mappings.iter().map(column).collect();
        let mut panel = json!({
            "id": id,
            "type": kind,
            "title": self.title,
            "description": self.description,
            "datasource": datasource(),
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "fieldConfig": {
                "defaults": {"unit": self.unit, "custom": custom, "noValue": "0",
                             "thresholds": {"mode": "absolute", "steps": steps}},
                "overrides": overrides,
            },
            "options": options,
            "targets": self.targets(),
        });
        if self.kind == Kind::Table {
            panel["fieldConfig"]["defaults"]["decimals"] = json!(0);
            panel["options"]["sortBy"] = json!([{"displayName": self.counted, "desc": true}]);
            let columns = self.columns.iter().chain(&["Value"]).zip(0..);
            let order: Map<String, Value> = columns
                .map(|(column, at)| ((*column).to_owned(), json!(at)))
                .collect();
            panel["transformations"] = json!([{
                "id": "organize",
                "options": {"excludeByName": {"Time": true}, "indexByName": order,
                            "renameByName": {"Value": self.counted}}
            }]);
        }
        if !matches!(self.kind, Kind::Table | Kind::Stat) {
            // Of a step, that four scrapes fall into.
            panel["interval"] = json!("1m");
        }
        panel
    }
}

fn column((name, mappings): &(&'static str, Value)) -> Value {
    json!({
        "matcher": {"id": "byName", "options": name},
        "properties": [
            {"id": "mappings", "value": [{"type": "value", "options": mappings}]},
            {"id": "custom.width", "value": 520},
        ],
    })
}

fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// A variable that offers the values of a label.
pub(super) fn variable(name: &str, label: &str, query: &str) -> Value {
    json!({
        "name": name,
        "label": label,
        "type": "query",
        "datasource": datasource(),
        "query": {"query": query, "refId": name},
        "definition": query,
        "includeAll": true,
        "allValue": ".*",
        "multi": true,
        "refresh": 2,
        "sort": 1,
        "current": {"text": ["All"], "value": ["$__all"]},
    })
}

/// Rows of panels, each row under its question.
pub(super) struct Dashboard {
    /// Of its address, never changed.
    pub(super) uid: &'static str,
    /// Shown.
    pub(super) title: &'static str,
    /// What it is for.
    pub(super) description: &'static str,
    /// Choices, besides the data source.
    pub(super) variables: Vec<Value>,
    /// Questions and what answers them.
    pub(super) rows: Vec<(&'static str, Vec<Panel>)>,
    /// The dashboard to lead to: its uid and what the link says.
    pub(super) link: (&'static str, &'static str),
}

impl Dashboard {
    /// As Grafana imports it.
    pub(super) fn json(&self) -> Value {
        let mut panels = Vec::new();
        let mut y = 0;
        for (question, row) in &self.rows {
            panels.push(json!({
                "id": panels.len() + 1, "type": "row", "title": question, "collapsed": false,
                "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}, "panels": [],
            }));
            y += 1;
            let (mut x, mut height) = (0, 0);
            for panel in row {
                if x + panel.width > WIDTH {
                    y += height;
                    (x, height) = (0, 0);
                }
                panels.push(panel.json(panels.len() + 1, x, y));
                x += panel.width;
                height = height.max(panel.height);
            }
            y += height;
        }
        let mut variables = vec![json!({
            "name": "datasource", "label": "data source", "type": "datasource",
            "query": "prometheus", "current": {},
        })];
        variables.extend(self.variables.iter().cloned());
        let (uid, title) = self.link;
        json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["resetmon", "tcp"],
            "schemaVersion": 39,
            "version": 1,
            "editable": true,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "browser",
            "annotations": {"list": [{
                "name": "alerts", "enable": true, "iconColor": "red", "datasource": datasource(),
                "expr": "ALERTS{alertname=~\"Resetmon.*\", alertstate=\"firing\"}",
                "titleFormat": "{{alertname}}", "step": "60s",
            }]},
            "links": [{
                "type": "link", "title": title, "url": format!("/d/{uid}"), "keepTime": true,
                "includeVars": true, "icon": "dashboard",
            }],
            "templating": {"list": variables},
            "panels": panels,
        })
    }
}
