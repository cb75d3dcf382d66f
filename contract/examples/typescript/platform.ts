import * as pulumi from "@pulumi/pulumi";
import type { Contract } from "./contract";

/** The major version of the contract that contract.ts was generated from. */
export const MAJOR = "2";

type Required = { [K in keyof Contract]-?: undefined extends Contract[K] ? never : K }[keyof Contract];

/**
 * One of the platform's stacks: typed, and of the major version that this program is written for.
 * A secret output stays a secret.
 */
export class Platform {
  private readonly reference: pulumi.StackReference;

  /** @param stack by its full name, such as organization/groundwork/prod */
  constructor(private readonly stack: string) {
    this.reference = new pulumi.StackReference(stack);
  }

  /** An output that every environment has. The program ends if this stack has it not. */
  require<K extends Required>(name: K): pulumi.Output<Contract[K]> {
    return this.checked(name).apply((value) => {
      if (value === undefined) {
        throw new pulumi.RunError(`${this.stack} has no ${name}; is it the stack with that layer?`);
      }
      return value;
    }) as pulumi.Output<Contract[K]>;
  }

  /** An output that some environments lack; undefined then. */
  get<K extends keyof Contract>(name: K): pulumi.Output<Contract[K] | undefined> {
    return this.checked(name);
  }

  private checked<K extends keyof Contract>(name: K): pulumi.Output<Contract[K] | undefined> {
    const version = this.reference.getOutput("contract_version");
    return pulumi.all([version, this.reference.getOutput(name)]).apply(([version, value]) => {
      if (version === undefined) {
        throw new pulumi.RunError(`${this.stack} has no outputs of the platform; deploy it first`);
      }
      if (version.split(".")[0] !== MAJOR) {
        throw new pulumi.RunError(
          `${this.stack} has contract ${version} and this program is written for ${MAJOR}; ` +
            "generate contract.ts anew and change what no longer fits",
        );
      }
      return value;
    });
  }
}
