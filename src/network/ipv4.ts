/** IPv4 addresses as numbers. */

export type Subnet = { readonly address: number; readonly prefix: number };

export const toNumber = (text: string): number =>
  text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);

export const toText = (address: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");

export const parseSubnet = (text: string): Subnet => {
  const [address = "", prefix = "32"] = text.split("/");
  return network({ address: toNumber(address), prefix: Number(prefix) });
};

export const formatSubnet = ({ address, prefix }: Subnet): string => `${toText(address)}/${prefix}`;

export const size = ({ prefix }: Subnet): number => 2 ** (32 - prefix);

/** The subnet with host bits cleared. */
export const network = ({ address, prefix }: Subnet): Subnet => ({
  address: address - (address % size({ address, prefix })),
  prefix,
});

export const contains = (subnet: Subnet, address: number): boolean =>
  address >= subnet.address && address < subnet.address + size(subnet);

export const overlap = (a: Subnet, b: Subnet): boolean => contains(a, b.address) || contains(b, a.address);

/** The bridge's own address: the first of the subnet. */
export const gatewayOf = (subnet: Subnet): number => subnet.address + 1;
