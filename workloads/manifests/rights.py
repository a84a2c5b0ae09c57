"""IAM documents of the experiment's two service accounts and of the results bucket, one function each."""

import typing

from optimal_tp.measurement.metrics import NAMESPACE

Document = dict[str, typing.Any]
_VERSION = "2012-10-17"


def account_trust(*, provider_arn: str, issuer: str, namespace: str, service_account: str) -> Document:
    """Let exactly one service account assume a role, by an exact match of subject and audience.

    ``issuer`` is the OIDC provider's URL without the scheme.
    """
    conditions = {
        f"{issuer}:aud": "sts.amazonaws.com",
        f"{issuer}:sub": f"system:serviceaccount:{namespace}:{service_account}",
    }
    return {
        "Version": _VERSION,
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": provider_arn},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": conditions},
            }
        ],
    }


def generator_policy(*, bucket_arn: str, prefix: str) -> Document:
    """Let the load generator publish to its namespace, and keep and read results below its prefix."""
    return {
        "Version": _VERSION,
        "Statement": [
            {
                "Sid": "Publish",
                "Effect": "Allow",
                "Action": "cloudwatch:PutMetricData",
                # The action takes no resource, so the namespace narrows it.
                "Resource": "*",
                "Condition": {"StringEquals": {"cloudwatch:namespace": NAMESPACE}},
            },
            {
                "Sid": "KeepResults",
                "Effect": "Allow",
                "Action": ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"],
                "Resource": f"{bucket_arn}/{prefix}/*",
            },
            {
                "Sid": "ListResults",
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": bucket_arn,
                "Condition": {"StringLike": {"s3:prefix": f"{prefix}/*"}},
            },
        ],
    }


def fetch_policy(*, partition: str, source: str) -> Document:
    """Let the fetch Job list and read the model below ``source`` (``s3://bucket/prefix``)."""
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    below = f"{prefix.rstrip('/')}/" if prefix else ""
    return {
        "Version": _VERSION,
        "Statement": [
            {
                "Sid": "ReadModel",
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": f"arn:{partition}:s3:::{bucket}/{below}*",
            },
            {
                "Sid": "ListModel",
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": f"arn:{partition}:s3:::{bucket}",
                "Condition": {"StringLike": {"s3:prefix": f"{below}*"}},
            },
        ],
    }


def bucket_policy(bucket_arn: str) -> Document:
    """Refuse requests to the bucket without TLS."""
    return {
        "Version": _VERSION,
        "Statement": [
            {
                "Sid": "OnlyTls",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [bucket_arn, f"{bucket_arn}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }
