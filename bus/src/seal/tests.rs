use api::placeholder::PathForm;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::identity::{AppId, ClusterId, Digest, Generation};
use crate::message::secret::{
    Question, Reference, Refusal, RefusalReason, Request, Sealed, Stated, Statement,
};

const NOW: u64 = 1_800_000_000_000;

struct Parties {
    asker: AskerKey,
    asker_public: AskerPublic,
    answerer: AnswererKey,
}

fn parties() -> Parties {
    let (asker, answerer) = generate().unwrap();
    Parties {
        asker: AskerKey::from_seed(&asker.secret).unwrap(),
        asker_public: asker.public.parse().unwrap(),
        answerer: AnswererKey::from_secret(&answerer.secret).unwrap(),
    }
}

fn reference(path: &str, key: &str) -> Reference {
    Reference {
        path: path.to_owned(),
        key: key.to_owned(),
        version: None,
        optional: false,
        form: PathForm::Api,
    }
}

fn two() -> Vec<Reference> {
    vec![
        reference("kv/data/shop", "user"),
        reference("kv/data/shop", "password"),
    ]
}

/// As one that is heard for the first time.
fn admitted(signed: &Signed) -> Verified<'_> {
    signed.admit(NOW, &mut ReplayWindow::new()).unwrap()
}

impl Parties {
    fn ask(&self, app: &str, references: &[Reference]) -> (Request, OneTimeKey) {
        let app: AppId = app.parse().unwrap();
        ask(
            &self.asker,
            &ClusterId::in_cluster(),
            &app,
            Generation(7),
            references,
            NOW,
        )
        .unwrap()
    }

    fn verify(&self, request: &Request) -> Result<Signed, RefusalReason> {
        verify(request, std::slice::from_ref(&self.asker_public)).map_err(|refusal| refusal.reason)
    }

    fn answer(&self, request: &Request) -> Sealed {
        let signed = self.verify(request).unwrap();
        let verified = admitted(&signed);
        let values: Vec<SecretValue> = verified
            .question()
            .references
            .iter()
            .map(|reference| SecretValue::new(format!("value of {}", reference.key).into_bytes()))
            .collect();
        let versions = values.iter().map(|_| Some(3)).collect();
        verified
            .seal(
                &self.answerer,
                &values.iter().map(Some).collect::<Vec<_>>(),
                versions,
            )
            .unwrap()
    }

    fn agent(&self) -> [AnswererPublic; 1] {
        [self.answerer.public()]
    }
}

#[test]
fn who_asked_gets_each_value_under_its_reference() {
    let parties = parties();
    let (request, key) = parties.ask("argocd/shop", &two());
    let secrets = key
        .open(&parties.answer(&request), &parties.agent())
        .unwrap();
    assert_eq!(secrets.len(), 2);
    let value = |key| {
        secrets
            .get(&reference("kv/data/shop", key))
            .unwrap()
            .expose()
    };
    assert_eq!(value("user"), b"value of user");
    assert_eq!(value("password"), b"value of password");
    assert!(secrets.get(&reference("kv/data/shop", "other")).is_none());
    assert!(secrets.iter().all(|(_, _, version)| version == Some(3)));
}

#[test]
fn order_and_duplicates_of_references_do_not_matter() {
    let parties = parties();
    let mut twice = two();
    twice.extend(two());
    let (request, _) = parties.ask("argocd/shop", &twice);
    let signed = parties.verify(&request).unwrap();
    assert_eq!(admitted(&signed).question().references.len(), 2);
}

#[test]
fn no_form_of_debug_shows_a_value_or_a_key() {
    let parties = parties();
    let (request, key) = parties.ask("argocd/shop", &two());
    let sealed = parties.answer(&request);
    let secrets = key.open(&sealed, &parties.agent()).unwrap();
    let shown = format!(
        "{secrets:?} {sealed:?} {:?} {:?}",
        parties.asker, parties.answerer
    );
    assert!(!shown.contains("value of"), "{shown}");
    assert!(
        !serde_json::to_string(&sealed).unwrap().contains("value of"),
        "{shown}"
    );
}

#[test]
fn a_swapped_one_time_key_is_refused() {
    let parties = parties();
    let (mut request, _) = parties.ask("argocd/shop", &two());
    let (attackers, _) = parties.ask("argocd/shop", &two());
    let own: Question = serde_json::from_str(&request.question).unwrap();
    let other: Question = serde_json::from_str(&attackers.question).unwrap();
    request.question = request
        .question
        .replace(&own.one_time_key, &other.one_time_key);
    assert_eq!(
        parties.verify(&request).err(),
        Some(RefusalReason::Signature)
    );
}

#[test]
fn a_question_altered_anywhere_is_refused() {
    let parties = parties();
    let (request, _) = parties.ask("argocd/shop", &two());
    for at in 0..request.question.len() {
        let mut bytes = request.question.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(question) = String::from_utf8(bytes) else {
            continue;
        };
        let altered = Request {
            question,
            signature: request.signature.clone(),
        };
        assert_eq!(
            parties.verify(&altered).err(),
            Some(RefusalReason::Signature),
            "byte {at}"
        );
    }
}

#[test]
fn a_question_signed_by_another_key_is_refused() {
    let (ours, theirs) = (parties(), parties());
    let (request, _) = theirs.ask("argocd/shop", &two());
    assert_eq!(ours.verify(&request).err(), Some(RefusalReason::Signature));
}

#[test]
fn a_signature_over_the_bare_text_is_not_a_signature_of_a_question() {
    let parties = parties();
    let (mut request, _) = parties.ask("argocd/shop", &two());
    request.signature = STANDARD.encode(parties.asker.0.sign(request.question.as_bytes()).unwrap());
    assert_eq!(
        parties.verify(&request).err(),
        Some(RefusalReason::Signature)
    );
}

#[test]
fn a_truncated_or_malformed_request_is_refused() {
    let parties = parties();
    let (request, _) = parties.ask("argocd/shop", &two());
    let with = |question: &str, signature: &str| Request {
        question: question.to_owned(),
        signature: signature.to_owned(),
    };
    let half = &request.question[..request.question.len() / 2];
    for (bad, reason) in [
        (with(half, &request.signature), RefusalReason::Signature),
        (with(&request.question, "%"), RefusalReason::Malformed),
        (with(&request.question, ""), RefusalReason::Signature),
        (
            with(&request.question, &request.signature[..40]),
            RefusalReason::Signature,
        ),
        (
            with(&"x".repeat(1_000_000), &request.signature),
            RefusalReason::Malformed,
        ),
    ] {
        assert_eq!(parties.verify(&bad).err(), Some(reason));
    }
}

#[test]
fn a_well_signed_question_over_the_limits_is_refused() {
    let parties = parties();
    let (request, _) = parties.ask("argocd/shop", &two());
    let question: Question = serde_json::from_str(&request.question).unwrap();
    let resign = |change: fn(&mut Question)| {
        let mut question = question.clone();
        change(&mut question);
        let question = serde_json::to_string(&question).unwrap();
        let text = [SIGNED, question.as_bytes()].concat();
        Request {
            signature: STANDARD.encode(parties.asker.0.sign(&text).unwrap()),
            question,
        }
    };
    for change in [
        (|question| question.references.reverse()) as fn(&mut Question),
        |question| question.references.push(question.references[1].clone()),
        |question| question.references[1].path = "x".repeat(3_000),
        |question| question.one_time_key = "AAAA".to_owned(),
        |question| question.one_time_key = "!".to_owned(),
    ] {
        assert_eq!(
            parties.verify(&resign(change)).err(),
            Some(RefusalReason::Malformed)
        );
    }
    let many: Vec<Reference> = (0..=Question::MAX_REFERENCES)
        .map(|n| reference("kv/data/x", &n.to_string()))
        .collect();
    let app = "argocd/shop".parse().unwrap();
    let asked = ask(
        &parties.asker,
        &ClusterId::in_cluster(),
        &app,
        Generation(1),
        &many,
        NOW,
    );
    assert!(matches!(asked, Err(SealError::TooMany { .. })));
}

#[test]
fn a_replayed_request_is_refused() {
    let parties = parties();
    let mut window = ReplayWindow::new();
    let (request, _) = parties.ask("argocd/shop", &two());
    let signed = parties.verify(&request).unwrap();
    assert!(signed.admit(NOW, &mut window).is_ok());
    for now in [NOW, NOW + 1_000, NOW + 10_000_000, NOW - 10_000_000] {
        let refused = signed.admit(now, &mut window).err().unwrap();
        assert_eq!(refused.reason, RefusalReason::Replayed, "{now}");
    }
}

#[test]
fn a_statement_is_proven_to_who_asked_and_to_nobody_else() {
    let (parties, others) = (parties(), parties());
    let refused = Statement::Refused(Refusal::new(RefusalReason::Forbidden, "not this", two()));
    let (request, key) = parties.ask("argocd/shop", &two());
    let signed = parties.verify(&request).unwrap();
    let stated = signed.state(&parties.answerer, &refused).unwrap();
    assert!(!serde_json::to_string(&stated).unwrap().contains("not this"));
    assert_eq!(key.read(&stated, &parties.agent()).unwrap(), refused);

    let (_, key) = parties.ask("argocd/shop", &two());
    assert!(matches!(
        key.read(&stated, &parties.agent()),
        Err(SealError::Retargeted)
    ));
    let (request, key) = parties.ask("argocd/shop", &two());
    let signed = parties.verify(&request).unwrap();
    let forged = signed.state(&others.answerer, &refused).unwrap();
    assert!(matches!(
        key.read(&forged, &parties.agent()),
        Err(SealError::Forged)
    ));
    let (request, key) = parties.ask("argocd/shop", &two());
    let signed = parties.verify(&request).unwrap();
    let mut altered = signed.state(&parties.answerer, &refused).unwrap();
    altered.ciphertext.replace_range(0..4, "AAAA");
    assert!(matches!(
        key.read(&altered, &parties.agent()),
        Err(SealError::Forged)
    ));
}

#[test]
fn values_are_no_statement_and_a_statement_is_no_values() {
    let parties = parties();
    let (request, key) = parties.ask("argocd/shop", &two());
    let sealed = parties.answer(&request);
    let as_statement = Stated {
        request: sealed.request,
        encapsulated: sealed.encapsulated,
        ciphertext: sealed.ciphertext,
    };
    assert!(matches!(
        key.read(&as_statement, &parties.agent()),
        Err(SealError::Forged)
    ));
    let (request, key) = parties.ask("argocd/shop", &[]);
    let signed = parties.verify(&request).unwrap();
    let stated = signed
        .state(&parties.answerer, &Statement::Checked(Vec::new()))
        .unwrap();
    let as_values = Sealed {
        request: stated.request,
        encapsulated: stated.encapsulated,
        ciphertext: stated.ciphertext,
        versions: Vec::new(),
    };
    assert!(matches!(
        key.open(&as_values, &parties.agent()),
        Err(SealError::Forged)
    ));
}

#[test]
fn a_statement_over_the_limit_is_not_sent() {
    let parties = parties();
    let (request, _) = parties.ask("argocd/shop", &two());
    let signed = parties.verify(&request).unwrap();
    let long = Refusal::new(
        RefusalReason::NotFound,
        "x".repeat(frame::MAX_PLAINTEXT),
        Vec::new(),
    );
    assert!(matches!(
        signed.state(&parties.answerer, &Statement::Refused(long)),
        Err(SealError::TooLarge { .. })
    ));
}

#[test]
fn an_answer_of_another_request_is_refused() {
    let parties = parties();
    let (first, _) = parties.ask("argocd/shop", &two());
    let (_, second_key) = parties.ask("argocd/bank", &two());
    let mut answer = parties.answer(&first);
    let (_, again) = parties.ask("argocd/bank", &two());
    assert!(matches!(
        again.open(&answer, &parties.agent()),
        Err(SealError::Retargeted)
    ));
    answer.request = second_key.request().clone();
    assert!(matches!(
        second_key.open(&answer, &parties.agent()),
        Err(SealError::Forged)
    ));
}

#[test]
fn an_answer_of_anyone_but_the_pinned_agent_is_refused() {
    let (ours, theirs) = (parties(), parties());
    let (request, key) = ours.ask("argocd/shop", &two());
    let impostor = Parties {
        asker: AskerKey(ours.asker.0.clone()),
        asker_public: ours.asker_public.clone(),
        answerer: theirs.answerer,
    };
    let forged = impostor.answer(&request);
    assert!(matches!(
        key.open(&forged, &ours.agent()),
        Err(SealError::Forged)
    ));
}

#[test]
fn an_answer_altered_in_any_part_is_refused() {
    type Change = fn(&mut Sealed);
    let flip = |text: &mut String, at: usize| {
        let mut bytes = STANDARD.decode(&*text).unwrap();
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 0x10;
        *text = STANDARD.encode(bytes);
    };
    let parties = parties();
    let changes: [Change; 9] = [
        |sealed| sealed.versions[0] = Some(4),
        |sealed| sealed.versions[1] = None,
        |sealed| sealed.versions.push(None),
        |sealed| sealed.versions.clear(),
        |sealed| sealed.ciphertext.clear(),
        |sealed| sealed.encapsulated.clear(),
        |sealed| sealed.ciphertext = "no base64!".to_owned(),
        |sealed| sealed.request = Digest::of(b"another"),
        |sealed| {
            let bytes = STANDARD.decode(&sealed.ciphertext).unwrap();
            sealed.ciphertext = STANDARD.encode(&bytes[..bytes.len() - 1]);
        },
    ];
    for (number, change) in changes.iter().enumerate() {
        let (request, key) = parties.ask("argocd/shop", &two());
        let mut sealed = parties.answer(&request);
        change(&mut sealed);
        assert!(
            key.open(&sealed, &parties.agent()).is_err(),
            "change {number}"
        );
    }
    for at in [0, 1, 40, 200, 271, usize::MAX] {
        let (request, key) = parties.ask("argocd/shop", &two());
        let mut sealed = parties.answer(&request);
        flip(&mut sealed.ciphertext, at);
        assert!(key.open(&sealed, &parties.agent()).is_err(), "byte {at}");
    }
}

#[test]
fn a_key_is_replaced_by_pinning_both_for_a_while() {
    let (old, new) = (parties(), parties());
    let both = [old.answerer.public(), new.answerer.public()];
    for parties in [&old, &new] {
        let (request, key) = parties.ask("argocd/shop", &two());
        assert!(key.open(&parties.answer(&request), &both).is_ok());
        let pinned = [old.asker_public.clone(), new.asker_public.clone()];
        assert!(verify(&request, &pinned).is_ok());
    }
}

#[test]
fn an_answer_needs_a_value_for_each_reference() {
    let parties = parties();
    let (request, _) = parties.ask("argocd/shop", &two());
    let signed = parties.verify(&request).unwrap();
    let verified = admitted(&signed);
    let one = SecretValue::new(b"x".to_vec());
    assert!(matches!(
        verified.seal(&parties.answerer, &[Some(&one)], vec![None]),
        Err(SealError::Mismatch { .. })
    ));
    assert!(matches!(
        verified.seal(&parties.answerer, &[Some(&one), None], vec![None, None]),
        Err(SealError::Mismatch { .. })
    ));
}

#[test]
fn an_optional_reference_may_be_without_a_value_and_json_stays_json() {
    let parties = parties();
    let optional = Reference {
        optional: true,
        ..reference("kv/data/shop", "maybe")
    };
    let asked = [optional.clone(), reference("kv/data/shop", "replicas")];
    let (request, key) = parties.ask("argocd/shop", &asked);
    let signed = parties.verify(&request).unwrap();
    let verified = admitted(&signed);
    let count = SecretValue::json(b"3".to_vec());
    let sealed = verified
        .seal(&parties.answerer, &[None, Some(&count)], vec![None, None])
        .unwrap();
    let secrets = key.open(&sealed, &parties.agent()).unwrap();
    assert!(secrets.get(&optional).is_none());
    assert_eq!(secrets.get(&asked[1]).unwrap().form(), Form::Json);
    assert_eq!(secrets.iter().count(), 1);
}

#[test]
fn the_largest_answer_fits_into_a_message() {
    let parties = parties();
    let (request, key) = parties.ask("argocd/shop", &two());
    let signed = parties.verify(&request).unwrap();
    let verified = admitted(&signed);
    let half = SecretValue::new(vec![b'x'; frame::MAX_PLAINTEXT / 2 - 16]);
    let sealed = verified
        .seal(
            &parties.answerer,
            &[Some(&half), Some(&half)],
            vec![None, None],
        )
        .unwrap();
    assert!(serde_json::to_vec(&sealed).unwrap().len() < crate::MAX_BODY);
    assert!(key.open(&sealed, &parties.agent()).is_ok());
}

#[test]
fn keys_survive_their_files_and_are_refused_in_the_wrong_place() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (asker, answerer) = generate().unwrap();
    write_key(&path("asker"), &asker.secret).unwrap();
    write_key(&path("answerer"), &answerer.secret).unwrap();
    let mode = std::fs::metadata(path("asker"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(
        write_key(&path("asker"), &asker.secret).is_err(),
        "never overwritten"
    );
    assert!(AskerKey::read(&path("asker")).is_ok());
    let read = AnswererKey::read(&path("answerer")).unwrap();
    assert_eq!(read.public().to_string(), answerer.public);
    let swapped = AskerKey::read(&path("answerer")).unwrap_err();
    assert!(!format!("{swapped:?}").contains(&answerer.secret["x25519-secret:".len()..]));
    assert!(AnswererKey::read(&path("asker")).is_err());
    assert!(AnswererKey::read(&path("none")).is_err());
    assert!(answerer.secret.parse::<AnswererPublic>().is_err());
    assert!(answerer.public.parse::<AskerPublic>().is_err());
    assert!(asker.secret.parse::<AskerPublic>().is_err());
    let broker_user = nkeys::KeyPair::new_user();
    assert!(AskerKey::from_seed(&broker_user.seed().unwrap()).is_err());
    assert!(broker_user.public_key().parse::<AskerPublic>().is_err());
}
