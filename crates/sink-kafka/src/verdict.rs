use drivetap_sink::{NotReady, Stop};
use rdkafka::types::RDKafkaErrorCode;

use crate::KafkaConfig;

/// Why the sink cannot go on, before it is said in the words of `connect` or of `publish`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The cluster or the way to it.
    Trouble(String),
    /// A topic or a permission is missing: somebody has to make it, and then all is well.
    Missing(String),
    /// librdkafka does not start with this configuration.
    Config(String),
}

impl From<Refusal> for NotReady {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Trouble(reason) | Refusal::Missing(reason) => Self::Later(reason),
            Refusal::Config(reason) => Self::Never(reason),
        }
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Trouble(reason) | Refusal::Config(reason) => Self::Reconnect { reason },
            Refusal::Missing(what) => Self::Hold { what },
        }
    }
}

/// Whether nobody but the record itself is at fault: Kafka's own word for it.
pub(crate) fn content_fault(code: RDKafkaErrorCode) -> Option<&'static str> {
    match code {
        RDKafkaErrorCode::MessageSizeTooLarge => Some("MSG_SIZE_TOO_LARGE"),
        RDKafkaErrorCode::MessageBatchTooLarge => Some("RECORD_LIST_TOO_LARGE"),
        RDKafkaErrorCode::InvalidRecord => Some("INVALID_RECORD"),
        RDKafkaErrorCode::InvalidTimestamp => Some("INVALID_TIMESTAMP"),
        _ => None,
    }
}

/// Whether a record failed only because another one did.
pub(crate) fn is_consequence(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::PurgeQueue
            | RDKafkaErrorCode::PurgeInflight
            | RDKafkaErrorCode::GaplessGuarantee
            | RDKafkaErrorCode::Fatal
            | RDKafkaErrorCode::InvalidDifferentRecord
            | RDKafkaErrorCode::OutOfOrderSequenceNumber
    )
}

/// What a code about the topic or about permissions asks a person to do.
pub(crate) fn missing(config: &KafkaConfig, code: RDKafkaErrorCode) -> Option<String> {
    let KafkaConfig { bootstrap_servers, topic, .. } = config;
    let cluster = format!("--bootstrap-server {bootstrap_servers}{}", config.tool_options());
    let principal = config.librdkafka.get("sasl.username").map_or("PRINCIPAL", String::as_str);
    let allow = format!("kafka-acls.sh {cluster} --add --allow-principal User:{principal}");
    match code {
        // The last is what records get that wait while their topic is deleted.
        RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownPartition => {
            Some(format!("topic `{topic}` does not exist; make it: kafka-topics.sh {cluster} --create --topic {topic}"))
        }
        RDKafkaErrorCode::TopicAuthorizationFailed => {
            Some(format!("no permission to write to topic `{topic}`; give it: {allow} --producer --topic {topic}"))
        }
        RDKafkaErrorCode::ClusterAuthorizationFailed => Some(format!(
            "no permission for idempotent writes; give it: {allow} --operation IdempotentWrite --cluster (or set \
             enable.idempotence=false: one record at a time)"
        )),
        _ => None,
    }
}
