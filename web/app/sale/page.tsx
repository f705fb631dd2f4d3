export default function Page() { return <h1 className="text-xl font-semibold">sale</h1>; }
