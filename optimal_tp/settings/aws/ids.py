"""Ids, ARNs and tags as AWS writes them."""

import typing

import pydantic

from optimal_tp.settings.parser import shape

SubnetId = typing.Annotated[
    str,
    pydantic.Field(
        pattern=shape(r"^subnet-[0-9a-z]+$", "must be the id of a subnet, for example subnet-0123456789abcdef0")
    ),
]
SecurityGroupId = typing.Annotated[
    str,
    pydantic.Field(
        pattern=shape(r"^sg-[0-9a-z]+$", "must be the id of a security group, for example sg-0123456789abcdef0")
    ),
]
RoleArn = typing.Annotated[
    str,
    pydantic.Field(
        pattern=shape(
            r"^arn:aws[a-z-]*:iam::\d{12}:role/\S+$",
            "must be the ARN of an IAM role, for example arn:aws:iam::111122223333:role/admin",
        )
    ),
]
PolicyArn = typing.Annotated[
    str,
    pydantic.Field(
        pattern=shape(
            r"^arn:aws[a-z-]*:iam::(\d{12}|aws):policy/\S+$",
            "must be the ARN of an IAM policy, for example arn:aws:iam::111122223333:policy/boundary",
        )
    ),
]
TagKey = typing.Annotated[
    str,
    pydantic.Field(
        pattern=shape(r"^[A-Za-z0-9_.:/=+@ -]+$", "must be a tag key of letters, digits, spaces and _.:/=+@-"),
        max_length=128,
    ),
]
TagValue = typing.Annotated[str, pydantic.Field(min_length=1, max_length=256)]
