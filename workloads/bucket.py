"""The results bucket: versioned, encrypted, not public, and by default kept when the stack is destroyed."""

import collections.abc
import json

import pulumi
import pulumi_aws as aws

from optimal_tp.settings.spend import Results
from workloads.manifests import rights

_UNFINISHED_DAYS = 7
_ENCRYPTION = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
    sse_algorithm="AES256"
)


class ResultsBucket(pulumi.ComponentResource):
    """The bucket of stored runs.

    Children: ``<name>-bucket``, ``-versions``, ``-encryption``, ``-public``, ``-tls``, ``-expiry``. Takes its AWS
    provider from ``opts``. With ``on_destroy`` ``keep`` the bucket and its protections stay in the account when the
    stack is destroyed: a bucket that refuses its deletion would stop destroy half-way, with nodes still billing.
    """

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    uri: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        results: Results,
        tags: collections.abc.Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("optimal-tp:workloads:ResultsBucket", name, None, opts)
        child = pulumi.ResourceOptions(parent=self, retain_on_delete=results.on_destroy == "keep")
        bucket = aws.s3.Bucket(
            f"{name}-bucket",
            bucket=results.bucket,
            force_destroy=results.on_destroy == "delete",
            tags=dict(tags),
            opts=child,
        )
        aws.s3.BucketVersioning(
            f"{name}-versions",
            bucket=bucket.id,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=child,
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.id,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=_ENCRYPTION
                )
            ],
            opts=child,
        )
        closed = aws.s3.BucketPublicAccessBlock(
            f"{name}-public",
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        aws.s3.BucketPolicy(
            f"{name}-tls",
            bucket=bucket.id,
            policy=bucket.arn.apply(lambda arn: json.dumps(rights.bucket_policy(arn))),
            # S3 refuses two simultaneous changes of a bucket's access.
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[closed], retain_on_delete=results.on_destroy == "keep"
            ),
        )
        aws.s3.BucketLifecycleConfiguration(f"{name}-expiry", bucket=bucket.id, rules=_rules(results), opts=child)
        self.name, self.arn = bucket.id, bucket.arn
        self.uri = pulumi.Output.concat("s3://", bucket.id, "/", results.prefix)
        self.register_outputs({"name": self.name, "arn": self.arn, "uri": self.uri})


def _rules(results: Results) -> list[aws.s3.BucketLifecycleConfigurationRuleArgs]:
    unfinished = aws.s3.BucketLifecycleConfigurationRuleArgs(
        id="unfinished-uploads",
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
        abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
            days_after_initiation=_UNFINISHED_DAYS
        ),
    )
    if results.expire_after_days is None:
        return [unfinished]
    days = results.expire_after_days
    old = aws.s3.BucketLifecycleConfigurationRuleArgs(
        id="old-results",
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=f"{results.prefix}/"),
        expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
        noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
            noncurrent_days=days
        ),
    )
    return [unfinished, old]
