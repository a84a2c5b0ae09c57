"""Rules for AWS resources: tags, encryption, and no public access."""

import collections.abc
import ipaddress

from rulebook import Found, Options, Resource, inner, listed, shown

UNTAGGED = frozenset(
    {
        "aws:cloudwatch/dashboard:Dashboard",
        "aws:cloudwatch/eventTarget:EventTarget",
        "aws:ec2/route:Route",
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "aws:efs/mountTarget:MountTarget",
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "aws:s3/bucketPolicy:BucketPolicy",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "aws:s3/bucketVersioning:BucketVersioning",
        "aws:sqs/queuePolicy:QueuePolicy",
    }
)
"""Types without tags in AWS (the provider's schema, pulumi-aws 7.51.1)."""

BUCKET = "aws:s3/bucket:Bucket"
_GUARDS = {
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "a public access block",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": "encryption of its own",
    "aws:s3/bucketPolicy:BucketPolicy": "a policy that refuses plain HTTP",
}
"""Resources that every bucket must have beside it, by type."""
_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_CLUSTERS = {
    # The component of pulumi-eks, and the resource that it creates.
    "eks:index:Cluster": ("endpointPublicAccess", "publicAccessCidrs"),
    "aws:eks/cluster:Cluster": ("vpcConfig.endpointPublicAccess", "vpcConfig.publicAccessCidrs"),
}
_ENCRYPTED = {
    "aws:efs/fileSystem:FileSystem": ("encrypted", "it encrypts files at rest"),
    "aws:kms/key:Key": ("enableKeyRotation", "it rotates the key"),
    "aws:sqs/queue:Queue": ("sqsManagedSseEnabled", "it encrypts messages at rest"),
}
_SECRETS = {"eks:index:Cluster": "encryptionConfigKeyArn", "aws:eks/cluster:Cluster": "encryptionConfig"}
_DISKS = {
    "aws:ec2/launchTemplate:LaunchTemplate": "blockDeviceMappings",
    "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass": "spec.blockDeviceMappings",
}


def carries_tags(resource: Resource, options: Options) -> Found:
    """Every AWS resource that can be tagged must name its project and stack."""
    if resource.type == "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass":
        tags = inner(resource.properties, "spec.tags")
    elif resource.type.startswith("aws:") and resource.type not in UNTAGGED:
        tags = resource.properties.get("tagsAll") or resource.properties.get("tags")
    else:
        return
    missing = [key for key in options.required_tags if key not in (tags or {})]
    if missing:
        yield f"{resource.name}: must have the tags {', '.join(missing)}, by which bills and leftovers are found"


def endpoint_is_closed(resource: Resource, _: Options) -> Found:
    """Require the API server to be private, or open to named networks only."""
    if resource.type not in _CLUSTERS:
        return
    public, cidrs = (inner(resource.properties, path) for path in _CLUSTERS[resource.type])
    if public is False:
        return
    if not cidrs:
        yield f"{resource.name}: must name the networks of its public endpoint, or AWS admits the whole internet"
    for cidr in listed(cidrs):
        if ipaddress.ip_network(cidr, strict=False).prefixlen == 0:
            yield f"{resource.name}: must not admit the whole internet (got {cidr})"


def data_are_encrypted(resource: Resource, _: Options) -> Found:
    """Files, messages, disks and Kubernetes secrets must be encrypted at rest."""
    if resource.type in _ENCRYPTED:
        switch, rule = _ENCRYPTED[resource.type]
        # A queue may also be encrypted by a key of the account.
        if resource.properties.get(switch) is not True and not resource.properties.get("kmsMasterKeyId"):
            yield f"{resource.name}: {switch} must be true: {rule} ({shown(resource.properties.get(switch))})"
    for index, disk in enumerate(listed(inner(resource.properties, _DISKS.get(resource.type, "-")))):
        encrypted = inner(disk, "ebs.encrypted")
        if encrypted not in (True, "true"):
            yield f"{resource.name}: disk {index} must be encrypted ({shown(encrypted)})"
    key = _SECRETS.get(resource.type)
    if key is not None and not resource.properties.get(key):
        found = shown(resource.properties.get(key))
        yield f"{resource.name}: {key} must be set, to encrypt Kubernetes secrets ({found})"


def bucket_block_is_whole(resource: Resource, _: Options) -> Found:
    """Require a public access block to block all four ways."""
    if resource.type != "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock":
        return
    for key in _BLOCKS:
        if resource.properties.get(key) is not True:
            value = shown(resource.properties.get(key))
            yield f"{resource.name}: {key} must be true, to block public access all four ways ({value})"


def buckets_are_private(resources: collections.abc.Sequence[Resource], _: Options) -> Found:
    """Every bucket must have a public access block, encryption and a policy that depend on it."""
    for bucket in (each for each in resources if each.type == BUCKET):
        beside = {each.type for each in resources if bucket.urn in each.depends_on}
        for type_, words in _GUARDS.items():
            if type_ not in beside:
                yield f"{bucket.name}: must have {words} beside it"
